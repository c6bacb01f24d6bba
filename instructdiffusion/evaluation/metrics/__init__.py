"""Metrics as the literature computes them: functions of numpy arrays; networks, where one needs them, are given."""

from __future__ import annotations

from .boxes import box_ap, box_iou, match_boxes
from .coco import Person, engine, keypoint_ap
from .keypoints import COCO_SIGMAS, SIGMA, joint_similarities, oks, oks_ap
from .masks import Overlap, ciou, giou, no_target_accuracy, overlap, target_accuracy
from .pictures import EQUAL_DB, capped_psnr, psnr, ssim
from .precision import RECALLS, THRESHOLDS, average_precision, mean
from .semantic import ClassOverlaps, mean_class_iou

__all__ = [
    "COCO_SIGMAS",
    "EQUAL_DB",
    "RECALLS",
    "SIGMA",
    "THRESHOLDS",
    "ClassOverlaps",
    "Overlap",
    "Person",
    "average_precision",
    "box_ap",
    "box_iou",
    "capped_psnr",
    "ciou",
    "engine",
    "giou",
    "joint_similarities",
    "keypoint_ap",
    "match_boxes",
    "mean",
    "mean_class_iou",
    "no_target_accuracy",
    "oks",
    "oks_ap",
    "overlap",
    "psnr",
    "ssim",
    "target_accuracy",
]
