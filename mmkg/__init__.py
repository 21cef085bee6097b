"""mmkg: multimodal knowledge graph completion with relation-enhanced negative sampling (MMRNS) on PyTorch Geometric."""

__version__ = "0.1.0"
