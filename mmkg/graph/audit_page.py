"""An audit as a page of plain text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from mmkg.graph.audit import Audit

HEADINGS = {"problem": "Problems", "caution": "Look at these", "fact": "Facts"}
REST = {"fine": "Looked for and not found", "unjudged": "Not judged, there being nothing to judge by"}
RULES_SHOWN = 3


def render(audit: Audit, width: int) -> str:
    """The findings: what is grave one by one with an example, facts together where they ask for the same."""
    findings = audit.findings
    number = findings.severity.value_counts().get
    lines = [audit.title, f"problems: {number('problem', 0)}, to look at: {number('caution', 0)}"]
    for severity in ("problem", "caution"):
        rows = findings[findings.severity == severity]
        lines += ["", f"{HEADINGS[severity]}:"] if len(rows) else []
        for advice, same in rows.groupby("advice", sort=False):
            for row in same.itertuples():
                lines.append(f"  {row.finding}: {amount(row.count, row.of)}")
                for example in _rules(audit.rules, row.finding) or ([f"e.g. {row.example}"] if row.example else []):
                    lines += _wrap(example, width, "      ")
            lines += _wrap(f"-> {advice}", width, "      ")
    lines += _facts(audit, width)
    for severity, heading in REST.items():
        rows = findings[(findings.severity == severity) & (findings.topic != "sides")]  # those are in the table
        lines += ["", f"{heading}:", *_wrap("; ".join(rows.finding), width, "  ")] if len(rows) else []
    return "\n".join(lines)


def amount(count: int, of: int) -> str:
    """A count, out of how many, and the share, which is never rounded to nothing or to all."""
    return f"{count:,} of {of:,} ({percent(count / of)})" if of else f"{count:,}"


def percent(share: float) -> str:
    """A share in per cent.

    Example:
        >>> percent(0.5), percent(0.0001), percent(0.9999), percent(0.0)
        ('50.0%', '<0.1%', '>99.9%', '0.0%')
    """
    if 0 < share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def _rules(rules: pd.DataFrame, finding: str) -> list[str]:
    """The best supported of the rules that a finding is about, and how many more there are."""
    rows = rules[(rules.finding == finding) & rules.shown]
    told = [f"e.g. {rule}" for rule in rows.told.head(RULES_SHOWN)]
    return told + ([f"and {len(rows) - RULES_SHOWN:,} more"] if len(rows) > RULES_SHOWN else [])


def _facts(audit: Audit, width: int) -> list[str]:
    """Facts, those with the same advice together; categories, degrees and coverage as tables."""
    facts = audit.findings[(audit.findings.severity == "fact") & ~audit.findings.topic.isin(["categories", "sides"])]
    lines = ["", f"{HEADINGS['fact']}:"]
    for advice, rows in facts.groupby("advice", sort=False):
        lines += [f"  {row.finding}: {amount(row.count, row.of)}" for row in rows.itertuples()]
        lines += _wrap(f"-> {advice}", width, "      ")
    if audit.categories.triples.sum():
        lines += ["", "Relations by category (many: 1.5 or more on average), and their train triples:"]
        total = int(audit.categories.triples.sum())
        for category in ("1-1", "1-N", "N-1", "N-N", "none"):
            rows = audit.categories[audit.categories.category == category]
            if category != "none" or len(rows):
                lines.append(f"  {category:<5}{len(rows):>7,} relations  {amount(int(rows.triples.sum()), total)}")
        lines += ["", "Train triples of an entity, from the rarest to the most frequent:"]
        shown = ", ".join(f"{share:.0%}: {value:,.0f}" for share, value in audit.degrees.items())
        lines += _wrap(shown, width, "  ")
    if len(audit.coverage):
        table = audit.coverage.map(lambda share: "-" if pd.isna(share) else percent(share))
        lines += ["", "Who has what: entities, and the heads and tails of triples:"]
        lines += [f"  {line}" for line in table.to_string().splitlines()]
    return lines


def _wrap(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
