/* A host for a Sterna board in C, written from docs/link.md. POSIX and libc only.
 *
 *     cc -O2 -o sterna_host sterna_host.c
 *     ./sterna_host /dev/ttyUSB0 identify
 *     ./sterna_host /dev/ttyUSB0 infer IMAGES.raw [BAUD]
 *
 * IMAGES.raw: images one after the other, each as docs/streams.md packs it, padded to the bytes that
 * `identify` prints. Prints a line for each: class, then the logits. Returns 0, or 1 and a sentence.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, MAX_BODY = 240, FRAME_COST = 6, WINDOW = 100, SLOTS_AT_MOST = 128, RING = 128 };
enum { HELLO = 1, IMAGE, WRITE, READ, MODE, POLL, RESEND };
enum { IDENTITY = 1, ANSWER = 3, RESULT };
enum { SILENCE_MS = 3000, STALL_MS = 10000, FIRST_WAIT_MS = 50, LONGEST_WAIT_MS = 250 };
enum { IMAGE_MS = STALL_MS, FRAME_MS = STALL_MS / 10, RESULT_WORDS = 56, NEW_SESSIONS = 8 };

struct frame { uint8_t kind, size, body[MAX_BODY]; };

static int line = -1;
static uint16_t session;
static uint8_t out[1 << 15], in[256]; /* bytes to send; the frame that comes in */
static size_t out_size, in_size;

/* What the board is, from IDENTITY; image_bytes is 0 before it. */
static uint64_t structure_id;
static uint32_t image_bytes, classes, buffer, slots;

/* Sequenced frames by number, not wrapped: done <= accepted <= top. */
static struct frame frames[RING];
static uint32_t done, accepted, top, to_send, queued;

static const uint8_t *images; /* still to be put into frames */
static size_t images_left, images_sent;
static uint32_t got, told, words_taken, *result;

static int read_waits; /* a READ is under way, number read_number */
static uint32_t read_number, answer[16], answer_words;

static int64_t heard, progress, last_sent;
static int64_t allowed_until; /* whatever the board sends: STALL_MS, and what work has earned */
static int wait_ms = FIRST_WAIT_MS, want, probing;
static int64_t resend_after;

static void fail(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fputs("sterna_host: ", stderr);
    vfprintf(stderr, format, rest);
    fputs("\n", stderr);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint32_t crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t k = 0; k < size; k++) {
        crc ^= data[k];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static uint32_t u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | u16(p + 2) << 16; }

static void put(uint8_t byte)
{
    if (out_size < sizeof out)
        out[out_size++] = byte;
}

/* Header, body and CRC as a COBS frame to the output. */
static void put_frame(int kind, uint32_t seq, const uint8_t *body, size_t size)
{
    uint8_t content[256];
    const uint8_t header[] = {(uint8_t)(VERSION << 4 | kind), (uint8_t)session,
                              (uint8_t)(session >> 8), (uint8_t)seq, (uint8_t)got};
    size_t n = sizeof header + size;
    memcpy(content, header, sizeof header);
    if (size)
        memcpy(content + sizeof header, body, size);
    uint32_t crc = crc32(content, n);
    for (int k = 0; k < 4; k++)
        content[n++] = (uint8_t)(crc >> 8 * k);
    content[n++] = 0;
    for (size_t at = 0; at < n;) { /* pieces end with a zero and are shorter than 255 */
        size_t piece = strlen((char *)content + at);
        put((uint8_t)(piece + 1));
        for (size_t k = 0; k < piece; k++)
            put(content[at + k]);
        at += piece + 1;
    }
    put(0);
    told = got;
    last_sent = now_ms();
}

/* COBS to content, header and body without the CRC; the size or -1. */
static int decode(const uint8_t *from, size_t size, uint8_t *content)
{
    size_t n = 0, at = 0;
    while (at < size) {
        size_t code = from[at++];
        if (code == 0 || at + code - 1 > size)
            return -1;
        memcpy(content + n, from + at, code - 1);
        n += code - 1;
        at += code - 1;
        if (code < 255 && at < size)
            content[n++] = 0;
    }
    if (n < 12 || n > 254 || crc32(content, n - 4) != u32(content + n - 4))
        return -1;
    return (int)n - 4;
}

static void advanced(void)
{
    progress = now_ms();
    wait_ms = FIRST_WAIT_MS;
    probing = 0;
}

static uint32_t images_out(void)
{
    return image_bytes ? (uint32_t)(images_sent / image_bytes) - got : 0;
}

/* What may pass until the next result, however slowly it comes. */
static int64_t image_ms(void) { return IMAGE_MS + (classes / RESULT_WORDS + 1LL) * FRAME_MS; }

static void take_result(const uint8_t *body, size_t size)
{
    uint32_t ahead = (body[0] - got) & 255, first = u16(body + 2);
    if (ahead >= SLOTS_AT_MOST || (!ahead && first < words_taken))
        return;
    if (ahead || first > words_taken || !images_out()) {
        if (now_ms() >= resend_after)
            want = RESEND;
        return;
    }
    for (size_t at = 4; at + 4 <= size && words_taken <= classes; at += 4)
        result[words_taken++] = u32(body + at);
    resend_after = 0;
    if (size == 4 + 4 * RESULT_WORDS || words_taken > classes)
        advanced(); /* fewer words in a frame are no sign of progress */
    if (words_taken <= classes)
        return;
    allowed_until += image_ms();
    if (result[0] >> 16)
        fail("image %u came back with flags 0x%x%s", got, result[0] >> 16,
             result[0] >> 16 & 4 ? ": no weights are loaded" : "");
    printf("%u:", result[0] & 0xFFFF);
    for (uint32_t k = 1; k <= classes; k++)
        printf(" %d", (int32_t)result[k]);
    printf("\n");
    words_taken = 0;
    got++;
}

static void take_frame(const uint8_t *content, size_t size)
{
    const uint8_t *body = content + 8;
    int kind = content[0] & 15, version = content[0] >> 4;
    size -= 8;
    if (version != VERSION) {
        if (!image_bytes)
            fail("the board speaks version %d of the link, this host %d", version, VERSION);
        return;
    }
    if (u16(content + 1) != session)
        return;
    heard = now_ms();
    if (!image_bytes) {
        if (kind != IDENTITY || size != 22 || memcmp(body, "STRN", 4))
            return;
        if (content[3] || content[4] || content[5] || content[6]) {
            static int sessions; /* that it said were under way */
            if (++sessions > NEW_SESSIONS)
                fail("the board says of every new session that it is under way already; reset it");
            session = (uint16_t)(session % 65535 + 1); /* the board had this one already */
            return;
        }
        structure_id = (uint64_t)u32(body + 8) << 32 | u32(body + 4);
        image_bytes = u32(body + 12);
        classes = u16(body + 16) ? u16(body + 16) : 65536;
        buffer = u16(body + 18);
        slots = u16(body + 20);
        result = malloc(4 * ((size_t)classes + 1));
        if (!result || !image_bytes || !slots || slots > SLOTS_AT_MOST)
            fail("the board's identity makes no sense");
        advanced();
        return;
    }
    uint32_t next = accepted + ((content[3] - accepted) & 255);
    uint32_t over = done + ((content[4] - done) & 255);
    if (next > top || over > next)
        return; /* an old one */
    if (next != accepted || over != done)
        advanced();
    accepted = next;
    to_send = to_send < accepted ? accepted : to_send;
    for (; done < over; done++, allowed_until += FRAME_MS)
        queued -= frames[done % RING].size + FRAME_COST;
    if (kind == ANSWER && size >= 4 && read_waits && body[0] == (read_number & 255) &&
               done > read_number) {
        if (body[1])
            fail("the board refused to read a register");
        answer_words = (uint32_t)(size - 4) / 4;
        for (uint32_t k = 0; k < answer_words && k < 16; k++)
            answer[k] = u32(body + 4 + 4 * k);
        read_waits = 0;
        advanced();
    } else if (kind == RESULT && size >= 8) {
        take_result(body, size);
    }
    if (probing) { /* nothing new: what was sent before the poll has arrived, or never will */
        probing = 0;
        to_send = accepted;
    }
}

static int room_for(size_t size)
{
    return queued + size + FRAME_COST <= buffer && top - done < WINDOW;
}

static void add(int kind, const uint8_t *body, size_t size)
{
    struct frame *f = &frames[top++ % RING];
    f->kind = (uint8_t)kind;
    f->size = (uint8_t)size;
    memcpy(f->body, body, size);
    queued += (uint32_t)size + FRAME_COST;
}

/* Put into the output what may be sent now. */
static void send_all(void)
{
    if (want) {
        put(0);
        if (want == RESEND)
            resend_after = now_ms() + wait_ms;
        put_frame(want, 0, NULL, 0);
        want = 0;
    }
    while (images_left) {
        uint64_t allowed = (uint64_t)(got + slots) * image_bytes - images_sent;
        size_t size = images_left < MAX_BODY ? images_left : MAX_BODY;
        if (allowed < size) {
            if (images_out())
                break;
            size = (size_t)allowed;
        }
        if (!room_for(size))
            break;
        add(IMAGE, images, size);
        images += size;
        images_left -= size;
        images_sent += size;
    }
    for (; to_send < top; to_send++) {
        struct frame *f = &frames[to_send % RING];
        put_frame(f->kind, to_send, f->body, f->size);
    }
    if (!out_size && 2 * (got - told) >= slots)
        put_frame(POLL, 0, NULL, 0);
}

static void check_time(void)
{
    int64_t now = now_ms();
    if (now - heard > SILENCE_MS)
        fail("no answer from a board for %d s; is it powered and programmed, is this its port, and "
             "its baud rate?", SILENCE_MS / 1000);
    if (now - progress > STALL_MS)
        fail("the board answers, but nothing has moved on for %d s", STALL_MS / 1000);
    if (now > allowed_until)
        fail("the board answers and goes on, but far too slowly to be one");
    if (now - (last_sent > progress ? last_sent : progress) < wait_ms)
        return;
    wait_ms = 2 * wait_ms < LONGEST_WAIT_MS ? 2 * wait_ms : LONGEST_WAIT_MS;
    if (!image_bytes) {
        uint8_t bits = 0;
        put(0);
        put_frame(HELLO, 0, &bits, 1);
        return;
    }
    want = read_waits || images_out() ? RESEND : POLL;
    probing = 1;
}

/* Send, receive, look at the time: once. */
static void step(void)
{
    uint8_t some[512], content[256];
    if (image_bytes && !out_size)
        send_all();
    struct pollfd wait = {line, (short)(POLLIN | (out_size ? POLLOUT : 0)), 0};
    if (poll(&wait, 1, 5) < 0 && errno != EINTR)
        fail("the port failed: %s", strerror(errno));
    if (wait.revents & (POLLHUP | POLLERR | POLLNVAL))
        fail("the port has gone");
    if (wait.revents & POLLOUT) {
        ssize_t n = write(line, out, out_size < 256 ? out_size : 256);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            fail("the port failed: %s", strerror(errno));
        if (n > 0) {
            memmove(out, out + n, out_size - (size_t)n);
            out_size -= (size_t)n;
            last_sent = now_ms();
        }
    }
    ssize_t n = wait.revents & POLLIN ? read(line, some, sizeof some) : 0;
    for (ssize_t k = 0; k < n; k++) {
        if (some[k]) {
            if (in_size < sizeof in)
                in[in_size++] = some[k];
            continue;
        }
        int size = in_size < sizeof in ? decode(in, in_size, content) : -1;
        if (size >= 8)
            take_frame(content, (size_t)size);
        in_size = 0;
    }
    check_time();
}

static void start_waiting(void)
{
    heard = progress = now_ms();
    allowed_until = heard + STALL_MS + image_ms();
    wait_ms = FIRST_WAIT_MS;
}

static void open_port(const char *name, long baud)
{
    static const struct { long baud; speed_t speed; } speeds[] = {
        {115200, B115200}, {230400, B230400},
#ifdef B1000000
        {460800, B460800}, {500000, B500000}, {921600, B921600}, {1000000, B1000000},
        {2000000, B2000000}, {3000000, B3000000},
#endif
    };
    struct termios mode;
    size_t k = 0, count = sizeof speeds / sizeof *speeds;
    for (; k < count && speeds[k].baud != baud; k++) {}
    if (k == count)
        fail("no baud rate %ld", baud);
    line = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (line < 0 || tcgetattr(line, &mode))
        fail("%s: %s", name, strerror(errno));
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    mode.c_cflag &= ~(tcflag_t)(CSTOPB | PARENB);
    cfsetispeed(&mode, speeds[k].speed);
    cfsetospeed(&mode, speeds[k].speed);
    if (tcsetattr(line, TCSANOW, &mode))
        fail("%s: %s", name, strerror(errno));
}

static void open_session(void)
{
    session = (uint16_t)((uint32_t)(time(NULL) * 40503 + getpid() * 9973) % 65535 + 1);
    start_waiting();
    last_sent = progress = now_ms() - FIRST_WAIT_MS; /* HELLO at once */
    while (!image_bytes)
        step();
}

static void read_registers(uint32_t address, uint8_t count)
{
    uint8_t body[3] = {(uint8_t)address, (uint8_t)(address >> 8), count};
    start_waiting();
    while (!room_for(sizeof body))
        step();
    read_number = top;
    read_waits = 1;
    add(READ, body, sizeof body);
    while (read_waits)
        step();
    if (answer_words != count)
        fail("the board answered %u words instead of %u", answer_words, count);
}

static uint8_t *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    struct stat kind;
    if (!file || fstat(fileno(file), &kind))
        fail("%s: %s", name, strerror(errno));
    *size = S_ISREG(kind.st_mode) ? (size_t)kind.st_size : 0; /* a folder has a size, too */
    uint8_t *data = *size ? malloc(*size) : NULL;
    if (!data || fread(data, 1, *size, file) != *size)
        fail("%s: is empty, no plain file, or cannot be read", name);
    fclose(file);
    return data;
}

int main(int argc, char **argv)
{
    int infer = argc >= 4 && !strcmp(argv[2], "infer");
    if (!infer && !(argc >= 3 && !strcmp(argv[2], "identify")))
        fail("use: sterna_host PORT identify [BAUD] | sterna_host PORT infer IMAGES.raw [BAUD]");
    open_port(argv[1], argc > 3 + infer ? atol(argv[3 + infer]) : 1000000);
    open_session();
    read_registers(0x10, 2); /* weights_id_lo, weights_id_hi */
    if (!infer) {
        printf("structure_id %016llx\n", (unsigned long long)structure_id);
        printf("weights_id %08x%08x\nimage_bytes %u\n", answer[1], answer[0], image_bytes);
        printf("classes %u\nbuffer %u\nslots %u\n", classes, buffer, slots);
        return 0;
    }
    if (!answer[0] && !answer[1])
        fail("the board has no complete weights; load them with 'sterna load'");
    size_t size;
    images = read_file(argv[3], &size);
    if (size % image_bytes)
        fail("%s: %zu bytes are no images of %u bytes", argv[3], size, image_bytes);
    images_left = size;
    start_waiting();
    while (got < size / image_bytes)
        step();
    free((void *)(images - images_sent));
    if (fflush(stdout) || ferror(stdout))
        fail("stdout takes no more: %s", strerror(errno));
    return 0;
}
