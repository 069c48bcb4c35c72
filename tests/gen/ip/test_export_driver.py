"""The C drivers of two exported networks in one program, against the Verilog of both."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import buildcase
import numpy as np
import pytest
from exportcase import facts, made, top, verilator_env

from sterna.gen.ip import layout
from sterna.gen.tools.plain_paths import plain_paths
from sterna.gen.verilog.memory_images import weights_image
from sterna.golden.network import Network
from sterna.golden.numpyrun import run_arrays

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drivers")
    return [made(folder, 0)[1], made(folder, 1)[1]]


def compiled(both: list[Path], folder: Path) -> list[str]:
    """The drivers, as names in the folder."""
    out = []
    for n, block in enumerate(both):
        source = block / layout.software(facts(n))[2]
        out.append(f"driver{n}.o")
        subprocess.run(["gcc", *FLAGS, "-c", "-o", folder / out[-1], source], check=True)
    return out


def other_weights(network: Network) -> Network:
    """The same, with other weights in the memory that a host writes."""
    nodes = [network[name] for name in network.order]
    turned = [replace(n, weight=-n.weight) if n.name == "c" else n for n in nodes]  # pyright: ignore
    return Network(network.steps, turned, network.name)


@needs_gcc
def test_exported_headers_read_as_c_and_as_cpp(both: list[Path], tmp_path: Path) -> None:
    names = [str(b / layout.software(facts(n))[k]) for n, b in enumerate(both) for k in (0, 1)]
    text = "".join(f'#include "{name}"\n' for name in names * 2)
    for name in ("all.c", "all.cpp"):
        (tmp_path / name).write_text(text + "int main(void) { return 0; }\n")
        flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
        subprocess.run(["gcc", *flags, name], cwd=tmp_path, check=True)


@needs_gcc
def test_exported_drivers_give_what_golden_gives(both: list[Path], tmp_path: Path) -> None:
    program = simulated(both, tmp_path)
    x = facts(0)
    retrained = other_weights(x.network)
    (tmp_path / "new.sterna").write_bytes(weights_image(retrained, x.design))
    (tmp_path / "fixed.sterna").write_bytes(weights_image(buildcase.network(1), x.design))
    damaged = bytearray(x.image)
    damaged[-1] ^= 1
    (tmp_path / "damaged.sterna").write_bytes(damaged)
    for n, block in enumerate(both):
        facts(n).vectors[0].tofile(tmp_path / f"images{n}.raw")
        shutil.copy(block / layout.image(facts(n)), tmp_path / f"weights{n}.sterna")
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    said = {row[0]: row[1:] for row in rows if not row[0].startswith("words")}
    assert said["open"] == ["0", "0"] and said["other"] == ["-2", "-2"]  # BAD_BLOCK
    assert said["load"] == ["0", "0"] and said["damaged"] == ["-3"] and said["foreign"] == ["-3"]
    # Built-in weights are others; a memory reads back wrong, and the block is held.
    assert said["fixed"] == ["-4"] and said["wrong"] == ["-4", "3"]
    count = len(facts(0).vectors[0])
    assert said["counters"][:2] == [str(count), str(count)] and said["cleared"] == ["0"]
    # A receiver that waits, then half an image: too late, and not held; what the caller held stays.
    assert said["blocked"] == ["-5", "0"] and said["half"] == ["-5", "0"]
    assert said["kept"] == ["-5", "2"] and said["released"] == ["0", "0"]
    assert said["again"] == ["0", "0"] and said["unreachable"] == ["-1", "0"]
    # A packet of the DMA too short, a DMA that never runs, a flag of the block.
    assert said["few"] == ["-6"] and said["dead"] == ["-5"] and said["checked"] == ["-6", "0"]
    results = {}
    for row in rows:
        if row[0].startswith("words"):
            results.setdefault(row[0], []).append([int(word, 16) for word in row[1:]])
    for n in (0, 1):
        assert np.array_equal(results[f"words{n}"], facts(n).vectors[1])
    assert np.array_equal(results["words_dma"], facts(0).vectors[1])
    images = vector_images_of(x)
    golden = run_arrays(retrained, images)
    found = np.array(results["words_new"], np.uint32)
    assert np.array_equal(found[:, 0], golden.classes)
    assert np.array_equal(found[:, 1:].view(np.int32), golden.logits)
    assert not np.array_equal(found, facts(0).vectors[1])


def vector_images_of(x) -> np.ndarray:
    from sterna.gen.verilog.bench import vector_images

    return vector_images(x.network)


def simulated(both: list[Path], folder: Path) -> str:
    """The program: drivers, both wrappers in Verilator, and what joins them."""
    includes = "".join(
        f'#include "{b / name}"\n'
        for n, b in enumerate(both)
        for name in layout.software(facts(n))[:2]
    )
    blocks = ""
    for n in (0, 1):
        x = facts(n)
        words = {"@NAME": x.module.upper(), "@name": x.module, "@N": str(n)}
        words["@BYTES"] = str(x.axis_width // 8)
        text = GLUE
        for word, value in words.items():  # @NAME before @N
            text = text.replace(word, value)
        blocks += text
    args = ["--cc", "--exe", "--top-module", "both", "-Wno-fatal", "both.v", "main.cpp"]
    header = "-include Vboth__pch.h"
    make = ["make", "-C", "obj_dir", "-f", "Vboth.mk", "OPT_FAST=-O0", "OPT_GLOBAL=-O0"]
    make += [f"VK_PCH_I_FAST={header}", f"VK_PCH_I_SLOW={header}"]
    with plain_paths() as plain:  # make builds in no folder with a space in its path
        env, here = verilator_env(plain), plain.folder
        top(here)
        (here / "main.cpp").write_text(includes + HEAD + blocks + MAIN)
        more = [here / name for name in compiled(both, here)]
        more += [plain(b) / name for n, b in enumerate(both) for name in layout.rtl(facts(n))]
        for command in (["verilator", *args, *map(str, more)], make):
            done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]
        return shutil.copy(here / "obj_dir/Vboth", folder)


HEAD = """
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>
#include "Vboth.h"
#include "verilated.h"
static Vboth *both;
static const int LONG = 100000;
static void low() { both->n0_aclk = both->n1_aclk = 0; both->eval(); }
static void edge() { both->n0_aclk = both->n1_aclk = 1; both->eval(); low(); }
static std::vector<uint8_t> bytes_of(const char *name) {
    std::ifstream file(name, std::ios::binary);
    return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}
"""
# AXI as a processor and a DMA have it: one access at a time; SLVERR is an error of the access.
GLUE = """
static int get@N(void *, uint32_t at, uint32_t *value) {
    both->n@N_s_axil_araddr = at;
    both->n@N_s_axil_arvalid = 1;
    low();
    for (int k = 0; !both->n@N_s_axil_arready; k++) { edge(); if (k > LONG) return 1; }
    edge();
    both->n@N_s_axil_arvalid = 0;
    both->n@N_s_axil_rready = 1;
    low();
    for (int k = 0; !both->n@N_s_axil_rvalid; k++) { edge(); if (k > LONG) return 1; }
    *value = both->n@N_s_axil_rdata;
    int answer = both->n@N_s_axil_rresp;
    edge();
    both->n@N_s_axil_rready = 0;
    low();
    return answer;
}
static int put@N(void *, uint32_t at, uint32_t value) {
    both->n@N_s_axil_awaddr = at;
    both->n@N_s_axil_wdata = value;
    both->n@N_s_axil_wstrb = 15;
    bool address = true, data = true;
    for (int k = 0; address || data; k++) {
        if (k > LONG) return 1;
        both->n@N_s_axil_awvalid = address;
        both->n@N_s_axil_wvalid = data;
        low();
        bool a = address && both->n@N_s_axil_awready, d = data && both->n@N_s_axil_wready;
        edge();
        address = address && !a;
        data = data && !d;
    }
    both->n@N_s_axil_awvalid = both->n@N_s_axil_wvalid = 0;
    both->n@N_s_axil_bready = 1;
    low();
    for (int k = 0; !both->n@N_s_axil_bvalid; k++) { edge(); if (k > LONG) return 1; }
    int answer = both->n@N_s_axil_bresp;
    edge();
    both->n@N_s_axil_bready = 0;
    low();
    return answer;
}
static int send@N(void *, const uint8_t *packet, size_t size) {
    for (size_t at = 0; at < size; at += @BYTES) {
        uint32_t beat = 0;
        for (int k = 0; k < @BYTES; k++) beat |= (uint32_t)packet[at + k] << 8 * k;
        both->n@N_s_axis_tdata = beat;
        both->n@N_s_axis_tvalid = 1;
        both->n@N_s_axis_tlast = at + @BYTES >= size;
        low();
        for (int k = 0; !both->n@N_s_axis_tready; k++) { edge(); if (k > LONG) return 1; }
        edge();
    }
    both->n@N_s_axis_tvalid = 0;
    low();
    return 0;
}
static int receive@N(void *, uint32_t *words, size_t count) {
    for (size_t at = 0; at < count; at++) {
        both->n@N_m_axis_tready = 1;
        low();
        for (int k = 0; !both->n@N_m_axis_tvalid; k++) { edge(); if (k > LONG) return 1; }
        words[at] = both->n@N_m_axis_tdata;
        if (both->n@N_m_axis_tlast != (at == count - 1)) return 1;
        edge();
    }
    both->n@N_m_axis_tready = 0;
    low();
    return 0;
}
static const @name block@N = {nullptr, get@N, put@N, send@N, receive@N, 100000};
static int infer@N(const char *label) {
    auto images = bytes_of("images@N.raw");
    for (size_t at = 0; at < images.size(); at += @NAME_PACKET_BYTES) {
        uint8_t packet[@NAME_PACKET_BYTES];
        uint32_t words[@NAME_RESULT_WORDS];
        @name_pack(&images[at], packet);
        int bad = @name_infer(&block@N, packet, words);
        if (bad) { printf("infer %d\\n", bad); return 1; }
        printf("%s", label);
        for (uint32_t word : words) printf(" %x", word);
        printf("\\n");
    }
    return 0;
}
"""
MAIN = """
// An AXI DMA in simple mode by its product guide: runs when a length is written to a side that
// runs, which is some looks after RUN; a length that comes before is lost. In the end the length is
// how many bytes came.
static uint8_t memory[1 << 16];
static uint32_t side[2][12];
static bool halted[2] = {true, true}, busy[2];
static int starting[2];
static uint32_t cut;
static int dma_put(void *, uint32_t at, uint32_t value) {
    int n = at >= 0x30;
    uint32_t offset = at - 0x30 * n;
    if (offset == 0 && (value & 4)) {
        for (int k = 0; k < 2; k++) { halted[k] = true; busy[k] = false; starting[k] = 0; }
        return 0;
    }
    side[n][offset / 4] = value;
    if (offset == 0 && (value & 1) && halted[n]) starting[n] = 3;
    if (offset == 0x28 && !halted[n]) {
        busy[n] = true;
        if (n == 0) {
            if (send0(nullptr, memory + side[0][6], value)) return 1;
            busy[0] = false;
        }
    }
    return 0;
}
static int dma_get(void *, uint32_t at, uint32_t *value) {
    int n = at >= 0x30;
    uint32_t offset = at - 0x30 * n;
    static int looks;
    if (n == 1 && offset == 4 && busy[1] && ++looks % 3 == 0) {
        uint32_t words[TINY_RESULT_WORDS];
        if (side[1][10] != sizeof words || receive0(nullptr, words, TINY_RESULT_WORDS)) return 1;
        memcpy(memory + side[1][6], words, sizeof words);
        busy[1] = false;
        side[1][10] -= cut;
    }
    if (offset == 4 && starting[n] && !--starting[n]) halted[n] = false;
    *value = offset == 4 ? (halted[n] ? 1 : busy[n] ? 0 : 2) : side[n][offset / 4];
    return 0;
}
// One that never runs.
static int dead_get(void *, uint32_t at, uint32_t *value) {
    *value = 1;
    return 0;
}
static int lie(void *, uint32_t at, uint32_t *value) {
    int bad = get0(nullptr, at, value);
    *value ^= at == TINY_CRC_RESULT;
    return bad;
}
static bool deaf;
static int unheard(void *, uint32_t at, uint32_t *value) {
    return (deaf && at == TINY_STATUS) || get0(nullptr, at, value);
}
static uint32_t control() {
    uint32_t found;
    return get0(nullptr, TINY_CONTROL, &found) ? 99 : found;
}
static int stuck(const uint8_t *packet) {
    auto file = bytes_of("weights0.sterna");
    uint32_t words[TINY_RESULT_WORDS];
    tiny hasty = {nullptr, get0, put0, send0, receive0, 1000};
    tiny cut_off = {nullptr, unheard, put0, send0, receive0, 1000};
    if (send0(nullptr, packet, TINY_PACKET_BYTES)) return 1;
    int bad = tiny_load(&hasty, file.data(), file.size());
    printf("blocked %d %u\\n", bad, control());
    if (receive0(nullptr, words, TINY_RESULT_WORDS) || tiny_check(words)) return 1;
    both->n0_s_axis_tvalid = 1;
    both->n0_s_axis_tlast = 0;
    low();
    for (int k = 0; !both->n0_s_axis_tready; k++) { edge(); if (k > LONG) return 1; }
    edge();
    both->n0_s_axis_tvalid = 0;
    low();
    bad = tiny_load(&hasty, file.data(), file.size());
    printf("half %d %u\\n", bad, control());
    if (put0(nullptr, TINY_CONTROL, TINY_CONTROL_HOLD_MASK)) return 1;
    bad = tiny_load(&hasty, file.data(), file.size());
    printf("kept %d %u\\n", bad, control());
    bad = tiny_release(&block0);
    printf("released %d %u\\n", bad, control());
    if (send0(nullptr, packet, TINY_PACKET_BYTES)) return 1;  // the rest of it, and too much
    if (receive0(nullptr, words, TINY_RESULT_WORDS)) return 1;
    deaf = true;
    bad = tiny_load(&cut_off, file.data(), file.size());
    printf("unreachable %d %u\\n", bad, control());
    bad = tiny_load(&hasty, file.data(), file.size());
    printf("again %d %u\\n", bad, control());
    return 0;
}
int main() {
    both = new Vboth;
    both->n0_aresetn = both->n1_aresetn = 0;
    for (int k = 0; k < 4; k++) edge();
    both->n0_aresetn = both->n1_aresetn = 1;
    low();
    printf("open %d %d\\n", tiny_open(&block0), sterna_tiny_axi__open(&block1));
    tiny wrong0 = {nullptr, get1, put1, send1, receive1, 0};
    sterna_tiny_axi_ wrong1 = {nullptr, get0, put0, send0, receive0, 0};
    printf("other %d %d\\n", tiny_open(&wrong0), sterna_tiny_axi__open(&wrong1));
    auto file0 = bytes_of("weights0.sterna"), file1 = bytes_of("weights1.sterna");
    auto damaged = bytes_of("damaged.sterna"), fresh = bytes_of("new.sterna");
    printf("damaged %d\\n", tiny_load(&block0, damaged.data(), damaged.size()));
    printf("foreign %d\\n", tiny_load(&block0, file1.data(), file1.size()));
    auto fixed = bytes_of("fixed.sterna");
    printf("fixed %d\\n", tiny_load(&block0, fixed.data(), fixed.size()));
    tiny liar = {nullptr, lie, put0, send0, receive0, 100000};
    int wrong = tiny_load(&liar, fresh.data(), fresh.size());
    uint32_t status;
    if (get0(nullptr, TINY_STATUS, &status)) return 1;
    printf("wrong %d %u\\n", wrong, status & 3);
    int bad0 = tiny_load(&block0, fresh.data(), fresh.size());
    if (bad0 || infer0("words_new")) { printf("new %d\\n", bad0); return 1; }
    bad0 = tiny_load(&block0, file0.data(), file0.size());
    printf("load %d %d\\n", bad0, sterna_tiny_axi__load(&block1, file1.data(), file1.size()));
    if (tiny_clear(&block0) || infer0("words0") || infer1("words1")) return 1;
    tiny_counters counters;
    sterna_tiny_axi__counters counters1;
    if (tiny_count(&block0, &counters) || sterna_tiny_axi__count(&block1, &counters1)) return 1;
    printf("counters %u %u %u\\n", counters.images, counters1.images, counters.image_clocks);
    tiny_clear(&block0);
    tiny_count(&block0, &counters);
    printf("cleared %u\\n", counters.images);
    tiny_dma dma = {nullptr, dma_get, dma_put, 1000};
    if (tiny_reset(&dma)) return 1;
    auto images = bytes_of("images0.raw");
    for (size_t at = 0; at < images.size(); at += TINY_PACKET_BYTES) {
        memcpy(memory + 256, &images[at], TINY_PACKET_BYTES);
        if (int bad = tiny_transfer(&dma, 256, 4096)) { printf("dma %d\\n", bad); return 1; }
        printf("words_dma");
        for (uint32_t k = 0; k < TINY_RESULT_WORDS; k++) {
            uint32_t word;
            memcpy(&word, memory + 4096 + 4 * k, 4);
            printf(" %x", word);
        }
        printf("\\n");
    }
    if (stuck(images.data())) return 1;
    cut = 4;
    printf("few %d\\n", tiny_transfer(&dma, 256, 4096));
    tiny_dma dead = {nullptr, dead_get, dma_put, 1000};
    printf("dead %d\\n", tiny_transfer(&dead, 256, 4096));
    uint32_t flagged[TINY_RESULT_WORDS] = {0x40001}, good[TINY_RESULT_WORDS] = {1};
    printf("checked %d %d\\n", tiny_check(flagged), tiny_check(good));
    return 0;
}
"""
