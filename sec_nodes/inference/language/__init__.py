"""Multimodal LLMs in plain ONNX Runtime and numpy: load, ask, and hear tokens as they come."""

from sec_nodes.inference.language.model import LanguageModel
from sec_nodes.inference.language.types import Answer, GenerationProfile, Question, TokenEvent

__all__ = ['Answer', 'GenerationProfile', 'LanguageModel', 'Question', 'TokenEvent']
