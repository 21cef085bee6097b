"""What the tests of pages read of HTML."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements of a page, and the text inside those of a class."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.stack, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.stack.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data):
        self.texts.append((data, [a.get("class", "").split()[0] if a.get("class") else t for t, a in self.stack]))

    def all(self, tag=None, cls=None):
        return [
            a for t, a in self.elements if tag in (None, t) and (cls is None or cls in (a.get("class") or "").split())
        ]

    def text(self, cls):
        return [data.strip() for data, path in self.texts if cls in path and data.strip()]
