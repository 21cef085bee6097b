"""Images to regions ``[M, R, D]`` and texts to sentences ``[M, S, D]``; cached by content, resumable."""

from mmkg.encoders.efficientnet import EfficientNetLite0Encoder
from mmkg.encoders.images import encode_images
from mmkg.encoders.pooling import pool_patches, region_boxes
from mmkg.encoders.protocols import PictureEncoder, TextEncoder
from mmkg.encoders.sentences import split_sentences
from mmkg.encoders.store import load_features, save_features
from mmkg.encoders.text_encoders import SentenceEncoder, bundled_sentence_encoder
from mmkg.encoders.texts import encode_texts
from mmkg.encoders.vision_encoders import VisionEncoder

__all__ = [
    "EfficientNetLite0Encoder",
    "PictureEncoder",
    "SentenceEncoder",
    "TextEncoder",
    "VisionEncoder",
    "bundled_sentence_encoder",
    "encode_images",
    "encode_texts",
    "load_features",
    "pool_patches",
    "region_boxes",
    "save_features",
    "split_sentences",
]
