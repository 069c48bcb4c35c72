import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from axildriver import simulate

from sterna.golden.errors import DesignError
from sterna.hw.control.decoder import RegisterDecoder
from sterna.hw.control.register_files import c_header, csr_json
from sterna.hw.control.registers import RULES, Access, register_map

CORES = ("conv1", "conv2", "fc")


def test_no_two_registers_or_fields_overlap():
    for cores, ram in (((), False), (CORES, True)):
        registers = register_map(cores, ram)
        addresses = [r.address for r in registers]
        assert addresses == sorted(set(addresses)) and not any(a % 4 for a in addresses)
        assert len({r.name for r in registers}) == len(registers)
        for register in registers:
            bits = [b for f in register.fields for b in range(f.low, f.low + f.width)]
            assert len(set(bits)) == len(bits) and max(bits) < 32


def test_rom_designs_have_the_same_addresses_and_no_chain():
    ram = {r.name: r for r in register_map(CORES, True)}
    rom = {r.name: r for r in register_map(CORES, False)}
    assert set(ram) - set(rom) == {"chain_address", "chain_data", "crc_words", "crc_result"}
    assert all(rom[name].address == ram[name].address for name in rom)
    assert ram["weights_id_lo"].writable and not rom["weights_id_lo"].writable
    assert [rom[f"stall_{c}"].address for c in CORES] == [0x100, 0x104, 0x108]


def test_csr_json_says_everything_and_is_the_same_twice():
    registers = register_map(CORES, True)
    text = json.dumps(csr_json(registers))
    assert text == json.dumps(csr_json(register_map(CORES, True)))
    by_name = {r["name"]: r for r in json.loads(text)["registers"]}
    assert by_name["id"] == {
        "name": "id",
        "address": 0,
        "writable": False,
        "acts_on_read": False,
        "description": "the letters STRN, S in the low byte",
        "fields": [
            {
                "name": "value",
                "low": 0,
                "width": 32,
                "access": "read",
                "description": "the letters STRN, S in the low byte",
            }
        ],
    }
    assert by_name["chain_data"]["acts_on_read"]
    assert [f["access"] for f in by_name["control"]["fields"]] == ["write-1-to-act", "read-write"]


def test_c_header_has_every_address_and_mask(tmp_path):
    registers = register_map(CORES, True)
    text = c_header(registers, "digits")
    assert text == c_header(register_map(CORES, True), "digits")
    macros = dict(re.findall(r"#define (\w+) (0x[0-9a-f]+u|\d+)", text))
    for register in registers:
        assert int(macros[f"DIGITS_{register.name.upper()}"][:-1], 16) == register.address
    assert macros["DIGITS_STATUS_CRC_DONE_MASK"] == "0x00000200u"
    assert macros["DIGITS_CHAIN_ADDRESS_REGION_SHIFT"] == "24"
    assert macros["DIGITS_CHAIN_ADDRESS_REGION_MASK"] == "0xff000000u"
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler:
        (tmp_path / "h.c").write_text(f"{text}\nint main(void) {{ return DIGITS_ID; }}\n")
        flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
        subprocess.run([compiler, *flags, "h.c"], cwd=tmp_path, check=True)


def test_the_rules_are_in_the_header_and_in_the_docs():
    header, page = c_header(register_map()), Path(__file__).parents[3] / "docs/streams.md"
    said = " ".join(page.read_text().split())
    assert csr_json(register_map())["rules"] == list(RULES)
    assert all(rule in said and f" * {rule}\n" in header for rule in RULES)


def test_refused():
    with pytest.raises(DesignError, match="distinct names"):
        register_map(("a", "a"))
    with pytest.raises(DesignError, match="no C identifier"):
        c_header(register_map(), "a-b")


def test_the_decoder_follows_the_description():
    registers = register_map(CORES, True)
    dut = RegisterDecoder(registers)
    values = {}

    async def bench(ctx):
        for register in registers:
            values[register.address] = 0
            for field in register.fields:
                if field.access is not Access.PULSE:
                    value = (0x9E3779B9 * (register.address + field.low + 1)) & (
                        (1 << field.width) - 1
                    )
                    ctx.set(getattr(dut, f"{register.name}_{field.name}"), value)
                    values[register.address] |= value << field.low
        by_address = {r.address: r for r in registers}
        for address in [*range(0, 0x120, 4), 0x4000, 0xFFFC, 0x8020]:
            register = by_address.get(address)
            for write in (0, 1):
                ctx.set(dut.address, address // 4)
                ctx.set(dut.write, write)
                ctx.set(dut.request, 1)
                await ctx.tick()
                ctx.set(dut.request, 0)
                assert not ctx.get(dut.decided)
                await ctx.tick()
                assert ctx.get(dut.decided)
                hit = register is not None and (register.writable or not write)
                assert ctx.get(dut.hit) == hit
                if hit and not write:
                    assert ctx.get(dut.rdata) == values[address]
                strobes = {
                    f"{r.name}_{kind}"
                    for r in registers
                    for kind, there in (("written", r.writable), ("read", r.acts_on_read))
                    if there and ctx.get(getattr(dut, f"{r.name}_{kind}"))
                }
                expected = set()
                if hit and write:
                    expected = {f"{register.name}_written"}
                elif hit and register.acts_on_read:
                    expected = {f"{register.name}_read"}
                assert strobes == expected
                await ctx.tick()
                assert not ctx.get(dut.decided)

    simulate(dut, bench)


def test_late_registers_wait_for_their_value():
    """Reads and refused writes of them alike; the others and absent ones wait for nothing."""
    registers = register_map(CORES, True)
    names = {"images", "dropped", f"stall_{CORES[-1]}"}
    dut = RegisterDecoder(registers, names)
    assert not any(hasattr(dut, f"{name}_value") for name in names)

    async def bench(ctx):
        ctx.set(dut.late_value, 0xDEADBEEF)
        ctx.set(dut.id_value, 0x12345678)
        by_address = {r.address: r for r in registers}
        for address in [*by_address, 0x3C, 0x8000]:
            register = by_address.get(address)
            late = register is not None and register.name in names
            for write, wait in ((0, 0), (0, 5), (1, 3)):
                ctx.set(dut.address, address // 4)
                ctx.set(dut.write, write)
                ctx.set(dut.request, 1)
                ctx.set(dut.late_ready, 0)
                await ctx.tick()
                ctx.set(dut.request, 0)
                for _ in range(wait if late else 0):
                    await ctx.tick()
                    assert not ctx.get(dut.decided)
                ctx.set(dut.late_ready, late)
                await ctx.tick()
                ctx.set(dut.late_ready, 0)
                assert ctx.get(dut.decided)
                if late:
                    assert ctx.get(dut.hit) == (not write)
                    assert write or ctx.get(dut.rdata) == 0xDEADBEEF
                elif register is not None and register.name == "id" and not write:
                    assert ctx.get(dut.rdata) == 0x12345678
                await ctx.tick()
                assert not ctx.get(dut.decided)

    simulate(dut, bench)
