"""Label spaces, the values that a label can take: classes, yes or no, scores.

base       what every label space answers
classes    one of several classes; no or yes
scores     a score in a range
spelling   labels as files spell them

Sets of labels are in `bertram.label_sets`.
"""

from bertram.label_spaces.base import LabelSpace, Metric, Schema, object_schema
from bertram.label_spaces.classes import NO, YES, Classes, NamedLabels, YesNo
from bertram.label_spaces.scores import ScoreRange
from bertram.label_spaces.spelling import as_number, as_text, finite, in_order, is_missing, read_number, whole

__all__ = [
    "NO",
    "YES",
    "Classes",
    "LabelSpace",
    "Metric",
    "NamedLabels",
    "Schema",
    "ScoreRange",
    "YesNo",
    "as_number",
    "as_text",
    "finite",
    "in_order",
    "is_missing",
    "object_schema",
    "read_number",
    "whole",
]
