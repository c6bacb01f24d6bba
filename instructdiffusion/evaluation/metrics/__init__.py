"""Metrics as the literature computes them: functions of numpy arrays; networks, where one needs them, are given."""

from __future__ import annotations

from ...imaging.psnr import psnr
from .average_precision import RECALLS, THRESHOLDS, average_precision, mean
from .box_metrics import box_ap, box_iou, match_boxes
from .class_iou import ClassOverlaps, mean_class_iou
from .coco_ap import Person, engine, keypoint_ap
from .image_metrics import EQUAL_DB, capped_psnr, ssim
from .keypoint_metrics import COCO_SIGMAS, SIGMA, joint_similarities, oks, oks_ap
from .mask_metrics import Overlap, ciou, giou, no_target_accuracy, overlap, target_accuracy

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
