"""Tasks: what a model is put to, from a file of examples to answers. One file a task."""

from .conversation import Conversation
from .dialogue import Dialogue
from .directory import make_task, open_task
from .feature_extraction import FeatureExtraction
from .features import Feature, TaskExamples
from .fill_mask import FillMask
from .finetune import finetune
from .highlighting import Highlighted, highlight
from .language_modeling import LanguageModeling
from .multiple_choice import MultipleChoice
from .question_answering import QuestionAnswering
from .registry import TASKS, task_class
from .relation_extraction import RelationExtraction
from .result import FineTuneResult
from .search import semantic_search
from .sentence_similarity import SentenceSimilarity
from .summarization import Summarization
from .task import Task, TaskSettings
from .text2text_generation import Text2TextGeneration
from .text_classification import TextClassification
from .token_classification import TokenClassification
from .translation import Translation

__all__ = [
    "TASKS",
    "Conversation",
    "Dialogue",
    "Feature",
    "FeatureExtraction",
    "FillMask",
    "FineTuneResult",
    "Highlighted",
    "LanguageModeling",
    "MultipleChoice",
    "QuestionAnswering",
    "RelationExtraction",
    "SentenceSimilarity",
    "Summarization",
    "Task",
    "TaskExamples",
    "TaskSettings",
    "Text2TextGeneration",
    "TextClassification",
    "TokenClassification",
    "Translation",
    "finetune",
    "highlight",
    "make_task",
    "open_task",
    "semantic_search",
    "task_class",
]
