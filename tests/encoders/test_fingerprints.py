"""Hashes tell apart what must not be taken for one another."""

import torch
from torch import nn

from mmkg.encoders.fingerprints import digest, module_fingerprint, safe_name


def test_parts_do_not_run_into_one_another():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", "")}) == 4
    assert digest("é") == digest("é".encode())


def test_weights_buffers_dtype_and_settings_count():
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    prints = [
        module_fingerprint(build(), "a"),
        module_fingerprint(build(), "b"),
        module_fingerprint(build().half(), "a"),
    ]
    changed = build()
    changed[1].running_mean[0] = 1e-3
    prints += [module_fingerprint(changed, "a"), module_fingerprint(build().bfloat16(), "a")]
    assert len(set(prints)) == 5
    assert module_fingerprint(build(), "a") == prints[0]


def test_names_are_safe_in_file_names():
    assert safe_name("../../etc/pass wd") == "pass-wd"
    assert safe_name("..") == safe_name("/") == safe_name("日本") == "model"
