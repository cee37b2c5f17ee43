/*
 * viewers: many viewers of one MJPEG stream, in one cheap process.
 *
 *     viewers HOST PORT PATH VIEWERS WARMUP SECONDS PATIENCE
 *
 * Opens VIEWERS connections, waits WARMUP seconds, then counts for SECONDS. PATIENCE is how many
 * seconds the server may take until its first frame. Prints a line "begin" and a line "end" at the
 * edges of the measured window, so that whoever started it can read the server's CPU clock at the
 * same moments, and then the figures as one JSON object.
 *
 * It counts what a viewer sees: each frame carries a stamp in a COM segment (see fakecam.c), so
 *   - the age of a frame is the time from its capture until its last byte has arrived here;
 *   - only distinct frames count, a repeated one is no progress, one that comes out of order is
 *     reported; so is a frame that does not end with EOI.
 *
 * To load the server and not the host, the body of a frame is thrown away inside the kernel
 * (MSG_TRUNC on a TCP socket); only its first bytes, with the stamp, and its last two are read.
 *
 * Exit codes: 0 measured, 2 wrong usage, 3 no stamped frame came in time.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES 2048      /* room for a part's headers and the start of its JPEG */
#define STAMPED_BYTES 48     /* SOI, COM marker and length, and the stamp of fakecam.c */
#define OPEN_AT_ONCE 20      /* connections opened before the open ones are served again */
#define OPEN_INTERVAL 0.01   /* seconds between two such batches */

struct viewer {
    int fd; /* -1 when not open */
    int answered; /* the response's own headers have been read */
    char head[HEAD_BYTES];
    size_t have;   /* bytes in head */
    size_t skip;   /* bytes of the JPEG still to be thrown away */
    int in_tail;   /* the next two bytes must be EOI */
    uint64_t taken; /* microseconds since the epoch: when the frame was captured; 0 when not stamped */
    uint32_t sequence;
    uint32_t last_sequence;
    long frames; /* distinct frames in the window */
    long jpeg_bytes;
};

static struct {
    long repeated, disordered, torn, unstamped, cut, bytes;
} total;

static int32_t *ages; /* microseconds */
static size_t age_count, age_room;
static int measuring;
static int seen_stamp; /* a stamped frame has come, so the camera runs */
static char scratch[1 << 16];

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t microseconds_since_epoch(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void remember_age(int32_t age)
{
    if (age_count == age_room) {
        age_room = age_room ? age_room * 2 : 1 << 16;
        ages = realloc(ages, age_room * sizeof *ages);
        if (!ages) {
            perror("realloc");
            exit(1);
        }
    }
    ages[age_count++] = age;
}

/* The frame is complete: its last byte has just been read. */
static void count_frame(struct viewer *viewer)
{
    if (!viewer->taken) {
        total.unstamped += measuring;
        return;
    }
    seen_stamp = 1;
    uint32_t last = viewer->last_sequence;
    if (viewer->sequence > last)
        viewer->last_sequence = viewer->sequence;
    if (!measuring)
        return;
    if (viewer->sequence > last) {
        viewer->frames++;
        remember_age((int32_t)(microseconds_since_epoch() - viewer->taken));
    } else if (viewer->sequence == last) {
        total.repeated++;
    } else {
        total.disordered++;
    }
}

static void read_stamp(struct viewer *viewer, const char *jpeg, size_t bytes)
{
    unsigned long long taken;
    unsigned sequence;
    char stamp[STAMPED_BYTES + 1];

    viewer->taken = 0;
    if (bytes < STAMPED_BYTES || memcmp(jpeg, "\xff\xd8\xff\xfe", 4) != 0)
        return;
    memcpy(stamp, jpeg, STAMPED_BYTES);
    stamp[STAMPED_BYTES] = 0;
    if (sscanf(stamp + 6, "FAKECAM TS=%16llu SEQ=%10u", &taken, &sequence) == 2) {
        viewer->taken = taken;
        viewer->sequence = sequence;
    }
}

static void drop_head(struct viewer *viewer, size_t bytes)
{
    viewer->have -= bytes;
    memmove(viewer->head, viewer->head + bytes, viewer->have);
}

/*
 * Go on with what is in `head`: response headers, part headers, the end of a frame.
 * Returns -1 when this is not a stream this program understands, else 0.
 */
static int parse_head(struct viewer *viewer)
{
    for (;;) {
        if (viewer->in_tail) {
            if (viewer->have < 2)
                return 0;
            if (memcmp(viewer->head, "\xff\xd9", 2) == 0)
                count_frame(viewer);
            else
                total.torn += measuring;
            viewer->in_tail = 0;
            drop_head(viewer, 2);
        }
        char *end = memmem(viewer->head, viewer->have, "\r\n\r\n", 4);
        if (!end)
            return viewer->have < HEAD_BYTES ? 0 : -1;
        size_t headers = (size_t)(end - viewer->head) + 4;
        if (!viewer->answered) {
            int is_ok = viewer->have > 12 && memcmp(viewer->head, "HTTP/1.", 7) == 0
                        && memcmp(viewer->head + 8, " 200", 4) == 0;
            if (!is_ok)
                return -1;
            viewer->answered = 1;
            drop_head(viewer, headers);
            continue;
        }
        end[2] = 0; /* so that the headers are a string */
        char *length = strcasestr(viewer->head, "content-length:");
        long bytes = length ? atol(length + 15) : 0;
        end[2] = '\r';
        if (bytes < 4)
            return -1;
        size_t body = viewer->have - headers;
        if (body < STAMPED_BYTES && body < (size_t)bytes)
            return 0; /* wait for the stamp */
        read_stamp(viewer, viewer->head + headers, body);
        viewer->jpeg_bytes += measuring ? bytes : 0;
        viewer->in_tail = 1;
        if (body >= (size_t)bytes - 2) { /* a tiny frame is in `head` already */
            drop_head(viewer, headers + (size_t)bytes - 2);
            continue;
        }
        viewer->skip = (size_t)bytes - 2 - body;
        viewer->have = 0;
        return 0;
    }
}

/* Read what has come. Returns -1 when the viewer was cut off, else 0. */
static int serve(struct viewer *viewer)
{
    for (;;) {
        size_t wanted = viewer->skip;
        ssize_t got;
        if (wanted) {
            if (wanted > sizeof scratch)
                wanted = sizeof scratch;
            got = recv(viewer->fd, scratch, wanted, MSG_TRUNC);
        } else {
            /* After a frame less than a full head is asked for, so that little of a body is copied. */
            wanted = HEAD_BYTES - viewer->have;
            if (wanted > 512)
                wanted = 512;
            got = recv(viewer->fd, viewer->head + viewer->have, wanted, 0);
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (got <= 0)
            return -1;
        total.bytes += measuring ? got : 0;
        if (viewer->skip) {
            viewer->skip -= (size_t)got;
        } else {
            viewer->have += (size_t)got;
            if (parse_head(viewer) < 0) {
                fprintf(stderr, "viewers: not an MJPEG stream with lengths: %.200s\n", viewer->head);
                return -1;
            }
        }
        if ((size_t)got < wanted)
            return 0; /* the socket is empty; what comes later is announced again */
    }
}

static void close_viewer(struct viewer *viewer)
{
    if (viewer->fd >= 0)
        close(viewer->fd);
    viewer->fd = -1;
}

/* Connect and ask for the stream. Returns 0, or -1 when the server does not take the connection. */
static int open_viewer(struct viewer *viewer, const struct sockaddr_in *server, const char *request, int epoll)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = viewer};
    struct timeval patience = {.tv_sec = 5};

    memset(viewer, 0, sizeof *viewer);
    viewer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (viewer->fd < 0)
        return -1;
    setsockopt(viewer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* bounds connect(), too */
    if (connect(viewer->fd, (const struct sockaddr *)server, sizeof *server) < 0
        || send(viewer->fd, request, strlen(request), MSG_NOSIGNAL) < 0
        || fcntl(viewer->fd, F_SETFL, O_NONBLOCK) < 0
        || epoll_ctl(epoll, EPOLL_CTL_ADD, viewer->fd, &interest) < 0) {
        close_viewer(viewer);
        return -1;
    }
    return 0;
}

static void serve_ready(int epoll, int timeout_ms, int cut_counts)
{
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, timeout_ms);

    for (int i = 0; i < ready; i++) {
        struct viewer *viewer = events[i].data.ptr;
        if (serve(viewer) < 0) {
            close_viewer(viewer);
            total.cut += cut_counts;
        }
    }
}

static void serve_until(int epoll, double end)
{
    for (double left = end - seconds_now(); left > 0; left = end - seconds_now())
        serve_ready(epoll, left < 0.1 ? (int)(left * 1000) + 1 : 100, 1);
}

static int by_value(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

/* The given share of the sorted ages, in milliseconds; -1 when there is none. */
static double age_quantile(double share)
{
    if (!age_count)
        return -1;
    size_t index = (size_t)(share * (double)age_count);
    return ages[index < age_count ? index : age_count - 1] / 1000.0;
}

static void print_figures(const struct viewer *viewers, int count, double window)
{
    long frames = 0, least = -1, most = 0, jpeg_bytes = 0;
    struct rusage usage;

    for (int i = 0; i < count; i++) {
        long own = viewers[i].frames;
        frames += own;
        jpeg_bytes += viewers[i].jpeg_bytes;
        least = least < 0 || own < least ? own : least;
        most = own > most ? own : most;
    }
    qsort(ages, age_count, sizeof *ages, by_value);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"viewers\": %d, \"seconds\": %.3f, \"frames\": %ld, ", count, window, frames);
    printf("\"fps_least\": %.3f, \"fps_mean\": %.3f, \"fps_most\": %.3f, ", (double)least / window,
           (double)frames / window / count, (double)most / window);
    printf("\"age_ms_p50\": %.3f, \"age_ms_p90\": %.3f, \"age_ms_p99\": %.3f, ", age_quantile(0.5),
           age_quantile(0.9), age_quantile(0.99));
    printf("\"frame_bytes\": %.0f, \"bytes\": %ld, ", frames ? (double)jpeg_bytes / (double)frames : 0.0,
           total.bytes);
    printf("\"repeated\": %ld, \"disordered\": %ld, \"torn\": %ld, ", total.repeated, total.disordered, total.torn);
    printf("\"unstamped\": %ld, \"cut\": %ld, ", total.unstamped, total.cut);
    printf("\"client_cpu_seconds\": %.3f}\n",
           (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
               + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: viewers HOST PORT PATH VIEWERS WARMUP SECONDS PATIENCE\n");
        return 2;
    }
    const char *host = argv[1], *path = argv[3];
    int port = atoi(argv[2]), count = atoi(argv[4]);
    double warmup = atof(argv[5]), window = atof(argv[6]), patience = atof(argv[7]);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char request[1024];

    if (count < 1 || window <= 0 || inet_pton(AF_INET, host, &server.sin_addr) != 1) {
        fprintf(stderr, "viewers: bad host, number of viewers or seconds\n");
        return 2;
    }
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: viewers\r\nAccept: */*\r\n\r\n",
             path, host, port);
    struct viewer *viewers = calloc((size_t)count, sizeof *viewers);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!viewers || epoll < 0) {
        perror("viewers");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* One viewer first, tried again until the server is up and its camera gives frames. */
    double deadline = seconds_now() + patience;
    viewers[0].fd = -1;
    while (!seen_stamp && seconds_now() < deadline) {
        if (viewers[0].fd < 0 && open_viewer(&viewers[0], &server, request, epoll) < 0)
            usleep(50000);
        serve_ready(epoll, 50, 0);
    }
    if (!seen_stamp) {
        fprintf(stderr, "viewers: no frame of the fake camera within %.0f s\n", patience);
        return 3;
    }
    /* Then the others, a few at a time, while those that are open are served. */
    for (int opened = 1; opened < count;) {
        for (int i = 0; i < OPEN_AT_ONCE && opened < count; i++, opened++)
            if (open_viewer(&viewers[opened], &server, request, epoll) < 0)
                total.cut++;
        serve_until(epoll, seconds_now() + OPEN_INTERVAL);
    }
    serve_until(epoll, seconds_now() + warmup);

    measuring = 1;
    puts("begin");
    double begin = seconds_now();
    serve_until(epoll, begin + window);
    double measured = seconds_now() - begin;
    puts("end");
    measuring = 0;
    print_figures(viewers, count, measured);
    return 0;
}
