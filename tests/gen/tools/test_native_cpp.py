"""Compiled C++ is made again for every change of what went into it."""

from sterna.gen.tools.native_cpp import library


def test_a_changed_header_is_another_library(monkeypatch, tmp_path):
    monkeypatch.setenv("STERNA_CACHE", str(tmp_path / "cache"))
    source, header = tmp_path / "main.cpp", tmp_path / "below.h"
    source.write_text('#include "above.h"\nextern "C" int answer() { return ANSWER; }\n')
    (tmp_path / "above.h").write_text('#pragma once\n#include "below.h"\n#include "above.h"\n')
    for number in (41, 42):
        header.write_text(f"#define ANSWER {number}\n")
        library.cache_clear()
        assert library(source, ("-O0",)).answer() == number
