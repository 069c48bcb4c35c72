"""A C driver of an exported block for a processor without an operating system: C99, no library."""

from string import Template

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.ip.vivado import memory_width
from sterna.hw.control.register_files import c_header

__all__ = ["driver_files"]


def driver_files(x: Exported) -> dict[str, str]:
    """The register map, the driver's header and its source, by their names."""
    names = layout.software(x)
    numbers = {
        "name": x.module,
        "NAME": x.module.upper(),
        "made": x.made,
        "structure": x.structure,
        "sheet": layout.datasheet(x),
        "image_bytes": x.image_bytes,
        "packet_bytes": x.packet_bytes,
        "result_words": x.result_words,
        "classes": x.classes,
        "regions": x.design.region_count,
        "alignment": memory_width(x.axis_width) // 8,
        "low": f"0x{x.structure[8:16]}",
        "high": f"0x{x.structure[:8]}",
    }
    texts = (
        c_header(x.registers, x.module),
        Template(_HEADER).substitute(numbers),
        Template(_SOURCE + (_LOADED if x.design.region_count else _FIXED)).substitute(numbers),
    )
    return dict(zip(names, texts, strict=True))


_HEADER = """\
/* Driver of the network $name for a processor without an operating system; made by $made.
 * C99; no library, no static data, no allocation. Several blocks and several networks can be in one
 * program: all names begin with the network's.
 *
 * The caller says how registers are read and written: ${name}_mapped where they are mapped into
 * memory, else two functions. Images and results go through two functions of the caller, or through
 * an AXI DMA in simple mode (${name}_transfer).
 */
#ifndef ${NAME}_H
#define ${NAME}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ${NAME}_IMAGE_BYTES ${image_bytes}u   /* of an image, packed as ${sheet} says */
#define ${NAME}_PACKET_BYTES ${packet_bytes}u  /* the same, zero-padded to whole beats */
#define ${NAME}_CLASSES ${classes}u
#define ${NAME}_RESULT_WORDS ${result_words}u  /* class and flags, then the logits */
#define ${NAME}_REGIONS ${regions}u       /* memories that a host writes */
#define ${NAME}_POLLS 100000000u /* looks at a register before something is said to be late */

enum {
    ${NAME}_OK = 0,
    ${NAME}_BAD_ACCESS = -1,  /* a register or a stream failed, by the caller */
    ${NAME}_BAD_BLOCK = -2,   /* what answers is another network, folding or register map */
    ${NAME}_BAD_FILE = -3,    /* the weights are damaged, or of another structure */
    ${NAME}_BAD_WEIGHTS = -4, /* built-in weights are not the file's, or memories read back wrong */
    ${NAME}_TOO_LATE = -5,    /* what was waited for has not come */
    ${NAME}_BAD_RESULT = -6   /* a packet was of a wrong length, or no weights are loaded */
};

/* How the block is reached. get and put access the 32-bit register at a byte offset, send gives a
 * packet to s_axis, receive takes as many words from m_axis; each returns 0, or anything else where
 * it failed. context is the caller's. polls: 0 for ${NAME}_POLLS. */
struct ${name} {
    void *context;
    int (*get)(void *context, uint32_t offset, uint32_t *value);
    int (*put)(void *context, uint32_t offset, uint32_t value);
    int (*send)(void *context, const uint8_t *packet, size_t bytes);
    int (*receive)(void *context, uint32_t *words, size_t count);
    uint32_t polls;
};

struct ${name}_counters {
    uint32_t images;       /* done, of those begun since the counters were cleared */
    uint32_t image_clocks; /* of the latest image that was measured */
    uint32_t total_clocks; /* from the first input to the latest output */
    uint32_t dropped;      /* packets too short (low half) and too long (high half) */
};

/* Registers that are memory: get and put for them, with their address as context. */
void ${name}_mapped(struct ${name} *block, volatile uint32_t *registers);

/* Whether what answers is this network in this folding; reads only. */
int ${name}_open(const struct ${name} *block);

/* Weights, the bytes of $name.sterna or of a file that `sterna pack NEW --onto` made: holds the
 * block (it starts no image), writes all memories, has the block check each, and releases it. Where
 * no memory can be written it checks that the file is what is built in. ${NAME}_TOO_LATE: half an
 * image was in, or a result waited for its receiver; nothing was written, and hold is as it was. An
 * error once it writes leaves the block held: load again, or release. */
int ${name}_load(const struct ${name} *block, const uint8_t *file, size_t bytes);

/* Lets a held block go on; ${name}_check refuses its results while weights_id is 0. */
int ${name}_release(const struct ${name} *block);

/* An image as a packet: its bytes, then zeros. */
void ${name}_pack(const uint8_t image[${NAME}_IMAGE_BYTES], uint8_t packet[${NAME}_PACKET_BYTES]);

/* Whether a result counts: ${NAME}_BAD_RESULT where the block has set a flag, in the high half of
 * words[0]. The class is words[0] & 0xFFFF; the logits follow, signed. */
int ${name}_check(const volatile uint32_t words[${NAME}_RESULT_WORDS]);

/* A packet through send, its result through receive, which is checked. After ${NAME}_BAD_ACCESS the
 * result may still come: take it, or reset the block, before the next. */
int ${name}_infer(const struct ${name} *block, const uint8_t packet[${NAME}_PACKET_BYTES],
                  uint32_t words[${NAME}_RESULT_WORDS]);

int ${name}_count(const struct ${name} *block, struct ${name}_counters *counters);
int ${name}_clear(const struct ${name} *block);

/* An AXI DMA in simple mode; get and put reach its registers, here too. Addresses are those that
 * the DMA sees; caches are the caller's: flush the packet before, drop the result's lines after.
 * transfer gives a packet and waits for its result; addresses are multiples of ${alignment}. It
 * checks how many bytes came, but reads no memory: drop the cache's lines, then call
 * ${name}_check, before the class is used. After an error call ${name}_reset, before the first
 * transfer, too. It resets the DMA alone: where a packet had begun, reset the block as well
 * (aresetn), or the next transfer gets the result of that packet. */
struct ${name}_dma {
    void *context;
    int (*get)(void *context, uint32_t offset, uint32_t *value);
    int (*put)(void *context, uint32_t offset, uint32_t value);
    uint32_t polls;
};
int ${name}_reset(const struct ${name}_dma *dma);
int ${name}_transfer(const struct ${name}_dma *dma, uint32_t packet_at, uint32_t result_at);

#ifdef __cplusplus
}
#endif

#endif /* ${NAME}_H */
"""

_SOURCE = """\
/* Driver of the network $name; see $name.h. structure_id $structure */
#include "$name.h"
#include "${name}_csr.h"

enum { LETTERS = 0x4e525453, MAJOR = 1, MOST_REGIONS = 256 };
/* Of a weights image: where its parts are, and what it may have at most. */
enum { AT_SIZE = 12, AT_STRUCTURE = 16, AT_WEIGHTS = 48, AT_COUNT = 80, AT_TABLE = 84, ENTRY = 16 };
/* Of an AXI DMA: registers of the two directions, and bits. */
enum { TO_BLOCK = 0x00, TO_MEMORY = 0x30, STATUS = 0x04, ADDRESS = 0x18, ADDRESS_HIGH = 0x1c };
enum { LENGTH = 0x28, RUN = 1, STOP = 4, HALTED = 1, IDLE = 2, ERRORS = 0x70 };

#define TRY(what) do { int tried = (what); if (tried) return tried; } while (0)

static int get(const struct $name *block, uint32_t offset, uint32_t *value)
{
    return block->get(block->context, offset, value) ? ${NAME}_BAD_ACCESS : ${NAME}_OK;
}

static int put(const struct $name *block, uint32_t offset, uint32_t value)
{
    return block->put(block->context, offset, value) ? ${NAME}_BAD_ACCESS : ${NAME}_OK;
}

static uint32_t u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The first 16 digits of an id: its 8 first bytes, the highest first. */
static uint32_t half(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t bytes)
{
    size_t k;
    int bit;
    crc = ~crc;
    for (k = 0; k < bytes; k++) {
        crc ^= data[k];
        for (bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static int mapped_get(void *context, uint32_t offset, uint32_t *value)
{
    *value = ((volatile uint32_t *)context)[offset / 4];
    return 0;
}

static int mapped_put(void *context, uint32_t offset, uint32_t value)
{
    ((volatile uint32_t *)context)[offset / 4] = value;
    return 0;
}

void ${name}_mapped(struct $name *block, volatile uint32_t *registers)
{
    block->context = (void *)(uintptr_t)registers;
    block->get = mapped_get;
    block->put = mapped_put;
}

int ${name}_open(const struct $name *block)
{
    uint32_t id, version, low, high, config;
    TRY(get(block, ${NAME}_ID, &id));
    TRY(get(block, ${NAME}_VERSION, &version));
    TRY(get(block, ${NAME}_STRUCTURE_ID_LO, &low));
    TRY(get(block, ${NAME}_STRUCTURE_ID_HI, &high));
    TRY(get(block, ${NAME}_CONFIG, &config));
    if (id != LETTERS || version >> 16 != MAJOR || low != ${low}u || high != ${high}u)
        return ${NAME}_BAD_BLOCK;
    config = (config & ${NAME}_CONFIG_REGIONS_MASK) >> ${NAME}_CONFIG_REGIONS_SHIFT;
    return config == ${NAME}_REGIONS ? ${NAME}_OK : ${NAME}_BAD_BLOCK;
}

void ${name}_pack(const uint8_t image[${NAME}_IMAGE_BYTES], uint8_t packet[${NAME}_PACKET_BYTES])
{
    size_t k;
    for (k = 0; k < ${NAME}_PACKET_BYTES; k++)
        packet[k] = k < ${NAME}_IMAGE_BYTES ? image[k] : 0;
}

int ${name}_check(const volatile uint32_t words[${NAME}_RESULT_WORDS])
{
    return words[0] >> 16 ? ${NAME}_BAD_RESULT : ${NAME}_OK;
}

int ${name}_infer(const struct $name *block, const uint8_t packet[${NAME}_PACKET_BYTES],
                  uint32_t words[${NAME}_RESULT_WORDS])
{
    if (block->send(block->context, packet, ${NAME}_PACKET_BYTES))
        return ${NAME}_BAD_ACCESS;
    if (block->receive(block->context, words, ${NAME}_RESULT_WORDS))
        return ${NAME}_BAD_ACCESS;
    return ${name}_check(words);
}

int ${name}_count(const struct $name *block, struct ${name}_counters *counters)
{
    TRY(get(block, ${NAME}_IMAGES, &counters->images));
    TRY(get(block, ${NAME}_IMAGE_CLOCKS, &counters->image_clocks));
    TRY(get(block, ${NAME}_TOTAL_CLOCKS, &counters->total_clocks));
    return get(block, ${NAME}_DROPPED, &counters->dropped);
}

int ${name}_clear(const struct $name *block)
{
    uint32_t control;
    TRY(get(block, ${NAME}_CONTROL, &control));
    return put(block, ${NAME}_CONTROL, control | ${NAME}_CONTROL_CLEAR_MASK);
}

int ${name}_release(const struct $name *block)
{
    return put(block, ${NAME}_CONTROL, 0);
}

/* --- AXI DMA, simple mode --------------------------------------------------------------------- */

static int dma_get(const struct ${name}_dma *dma, uint32_t offset, uint32_t *value)
{
    return dma->get(dma->context, offset, value) ? ${NAME}_BAD_ACCESS : ${NAME}_OK;
}

static int dma_put(const struct ${name}_dma *dma, uint32_t offset, uint32_t value)
{
    return dma->put(dma->context, offset, value) ? ${NAME}_BAD_ACCESS : ${NAME}_OK;
}

int ${name}_reset(const struct ${name}_dma *dma)
{
    uint32_t left = dma->polls ? dma->polls : ${NAME}_POLLS, control;
    TRY(dma_put(dma, TO_BLOCK, STOP)); /* resets both directions */
    do {
        TRY(dma_get(dma, TO_BLOCK, &control));
        if (!(control & STOP))
            return ${NAME}_OK;
    } while (--left);
    return ${NAME}_TOO_LATE;
}

/* Waits until the bits of a direction's status are as wanted; an error ends it. */
static int dma_wait(const struct ${name}_dma *dma, uint32_t side, uint32_t bits, uint32_t wanted)
{
    uint32_t left = dma->polls ? dma->polls : ${NAME}_POLLS, status;
    do {
        TRY(dma_get(dma, side + STATUS, &status));
        if (status & ERRORS)
            return ${NAME}_BAD_ACCESS;
        if ((status & bits) == wanted)
            return ${NAME}_OK;
    } while (--left);
    return ${NAME}_TOO_LATE;
}

/* A direction of the DMA on its way: it runs some clocks after RUN, and a length that is written
 * while it is still halted is lost. */
static int dma_start(const struct ${name}_dma *dma, uint32_t side, uint32_t at, uint32_t bytes)
{
    TRY(dma_put(dma, side, RUN));
    TRY(dma_wait(dma, side, HALTED, 0));
    TRY(dma_put(dma, side + ADDRESS, at));
    return dma_put(dma, side + LENGTH, bytes);
}

int ${name}_transfer(const struct ${name}_dma *dma, uint32_t packet_at, uint32_t result_at)
{
    uint32_t bytes;
    TRY(dma_start(dma, TO_MEMORY, result_at, 4 * ${NAME}_RESULT_WORDS));
    TRY(dma_start(dma, TO_BLOCK, packet_at, ${NAME}_PACKET_BYTES));
    TRY(dma_wait(dma, TO_BLOCK, HALTED | IDLE, IDLE));
    TRY(dma_wait(dma, TO_MEMORY, HALTED | IDLE, IDLE));
    TRY(dma_get(dma, TO_MEMORY + LENGTH, &bytes)); /* how many came */
    return bytes == 4 * ${NAME}_RESULT_WORDS ? ${NAME}_OK : ${NAME}_BAD_RESULT;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* Whether every byte is as it was written, and of this network's structure; how many regions. */
static int check_file(const uint8_t *file, size_t bytes, uint32_t *count)
{
    static const uint8_t magic[12] = {'S', 'T', 'E', 'R', 'N', 'A', 'W', 0, 1, 0, 0, 0};
    size_t at, k;
    if (bytes < AT_TABLE + 4 || u32(file + AT_SIZE) != bytes)
        return ${NAME}_BAD_FILE;
    for (k = 0; k < sizeof magic; k++)
        if (file[k] != magic[k])
            return ${NAME}_BAD_FILE;
    if (half(file + AT_STRUCTURE) != ${high}u || half(file + AT_STRUCTURE + 4) != ${low}u)
        return ${NAME}_BAD_FILE;
    *count = u32(file + AT_COUNT);
    if (*count > MOST_REGIONS || bytes < AT_TABLE + (size_t)ENTRY * *count + 4)
        return ${NAME}_BAD_FILE;
    at = AT_TABLE + (size_t)ENTRY * *count;
    if (crc32(0, file, at) != u32(file + at))
        return ${NAME}_BAD_FILE;
    at += 4;
    for (k = 0; k < *count; k++) { /* regions 0, 1, 2 ..., one behind the other */
        const uint8_t *entry = file + AT_TABLE + ENTRY * k;
        uint32_t words = u32(entry + 8);
        if (u32(entry) != k || u32(entry + 4) != at || words > (bytes - at) / 4)
            return ${NAME}_BAD_FILE;
        if (crc32(0, file + at, 4 * (size_t)words) != u32(entry + 12))
            return ${NAME}_BAD_FILE;
        at += 4 * (size_t)words;
    }
    return at == bytes && *count + 1 > ${NAME}_REGIONS ? ${NAME}_OK : ${NAME}_BAD_FILE;
}

/* Whether what is built in is what the file has in its place: the regions behind the first ones. */
static int check_fixed(const struct $name *block, const uint8_t *file, uint32_t count)
{
    uint32_t k, crc = 0, found;
    for (k = ${NAME}_REGIONS; k < count; k++) {
        const uint8_t *entry = file + AT_TABLE + (size_t)ENTRY * k;
        crc = crc32(crc, file + u32(entry + 4), 4 * (size_t)u32(entry + 8));
    }
    TRY(get(block, ${NAME}_ROM_CRC, &found));
    return found == crc ? ${NAME}_OK : ${NAME}_BAD_WEIGHTS;
}
"""

_FIXED = """
int ${name}_load(const struct $name *block, const uint8_t *file, size_t bytes)
{
    uint32_t count;
    TRY(check_file(file, bytes, &count));
    TRY(${name}_open(block));
    return check_fixed(block, file, count); /* no memory can be written */
}
"""

_LOADED = """
/* Waits until the bits of status are as wanted. */
static int wait_for(const struct $name *block, uint32_t bits, uint32_t wanted, uint32_t *status)
{
    uint32_t left = block->polls ? block->polls : ${NAME}_POLLS;
    do {
        TRY(get(block, ${NAME}_STATUS, status));
        if ((*status & bits) == wanted)
            return ${NAME}_OK;
    } while (--left);
    return ${NAME}_TOO_LATE;
}

/* A memory: its words, and then what it gives back. */
static int load_region(const struct $name *block, const uint8_t *file, uint32_t region)
{
    const uint8_t *entry = file + AT_TABLE + (size_t)ENTRY * region;
    const uint8_t *data = file + u32(entry + 4);
    uint32_t words = u32(entry + 8), k, status, crc;
    TRY(put(block, ${NAME}_CHAIN_ADDRESS, region << ${NAME}_CHAIN_ADDRESS_REGION_SHIFT));
    for (k = 0; k < words; k++)
        TRY(put(block, ${NAME}_CHAIN_DATA, u32(data + 4 * (size_t)k)));
    TRY(put(block, ${NAME}_CHAIN_ADDRESS, region << ${NAME}_CHAIN_ADDRESS_REGION_SHIFT));
    TRY(put(block, ${NAME}_CRC_WORDS, words));
    TRY(wait_for(block, ${NAME}_STATUS_CRC_BUSY_MASK, 0, &status));
    TRY(get(block, ${NAME}_CRC_RESULT, &crc));
    if (!(status & ${NAME}_STATUS_CRC_DONE_MASK) || crc != u32(entry + 12))
        return ${NAME}_BAD_WEIGHTS;
    return ${NAME}_OK;
}

/* Held and idle; where it gets neither, held or not as it was. */
static int hold(const struct $name *block)
{
    uint32_t control, status;
    int late;
    TRY(get(block, ${NAME}_CONTROL, &control));
    TRY(put(block, ${NAME}_CONTROL, ${NAME}_CONTROL_HOLD_MASK));
    late = wait_for(block, ${NAME}_STATUS_IDLE_MASK, ${NAME}_STATUS_IDLE_MASK, &status);
    if (late) /* which counts, whatever becomes of this */
        (void)put(block, ${NAME}_CONTROL, control & ${NAME}_CONTROL_HOLD_MASK);
    return late;
}

/* Hold, write (which sets weights_id to zero), check, weights_id, release: where it ends early
 * behind the first the block stays held, and weights_id is zero or the weights are whole. */
int ${name}_load(const struct $name *block, const uint8_t *file, size_t bytes)
{
    uint32_t count, k, low, high;
    TRY(check_file(file, bytes, &count));
    TRY(${name}_open(block));
    TRY(check_fixed(block, file, count));
    TRY(hold(block));
    for (k = 0; k < ${NAME}_REGIONS; k++)
        TRY(load_region(block, file, k));
    TRY(put(block, ${NAME}_WEIGHTS_ID_LO, half(file + AT_WEIGHTS + 4)));
    TRY(put(block, ${NAME}_WEIGHTS_ID_HI, half(file + AT_WEIGHTS)));
    TRY(get(block, ${NAME}_WEIGHTS_ID_LO, &low));
    TRY(get(block, ${NAME}_WEIGHTS_ID_HI, &high));
    if (low != half(file + AT_WEIGHTS + 4) || high != half(file + AT_WEIGHTS))
        return ${NAME}_BAD_WEIGHTS;
    return ${name}_release(block);
}
"""
