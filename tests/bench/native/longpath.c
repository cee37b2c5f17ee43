/*
 * longpath: a long, narrow path between two network namespaces, for kernels without netem.
 *
 *     longpath NAMESPACE_A DEVICE_A NAMESPACE_B DEVICE_B MBIT_PER_S ONE_WAY_MS QUEUE_MS
 *
 * Creates a TUN device in each namespace and carries IP packets between them. Each direction is a
 * link of the given rate with a bounded queue of QUEUE_MS in front of it (a packet that finds it
 * full is dropped, as in a router), followed by a delay line of ONE_WAY_MS. It works on packets and
 * not on streams, so the TCP of the server under test talks to the TCP of the viewer: its
 * congestion control, its window and its round-trip time are real. A relay on sockets would end
 * the server's connection right here and measure nothing.
 *
 * Prints "ready" when both devices exist (addresses are set by the caller), runs until SIGTERM or
 * SIGINT, and then reports on stderr what it carried and dropped. Needs CAP_NET_ADMIN.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES 1600
#define PACKETS 16384 /* in one direction at the same time: more than 50 Mbit/s fill in a second */

struct packet {
    uint64_t due; /* when it comes out at the other end, CLOCK_MONOTONIC ns */
    size_t bytes;
    char data[PACKET_BYTES];
};

/* One direction. Packets leave in the order in which they came, so a ring is enough. */
struct direction {
    int from, to;          /* TUN devices */
    uint64_t free_at;      /* when the link has sent all that it has accepted */
    struct packet *ring;
    size_t first, waiting;
    unsigned long carried, dropped;
};

static double ns_per_byte;
static uint64_t delay_ns, queue_ns;
static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Create a TUN device in a named namespace; the process stays in that namespace afterwards. */
static int create_device(const char *namespace, const char *device)
{
    char path[256];
    struct ifreq request;
    int tun, there;

    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    there = open(path, O_RDONLY | O_CLOEXEC);
    if (there < 0 || setns(there, CLONE_NEWNET) < 0)
        fail(path);
    close(there);
    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0)
        fail("/dev/net/tun");
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (ioctl(tun, TUNSETIFF, &request) < 0)
        fail(device);
    return tun;
}

/* Take all packets that have been sent into this end. */
static void accept_packets(struct direction *direction)
{
    char refused[PACKET_BYTES];

    for (;;) {
        int full = direction->waiting == PACKETS;
        struct packet *packet = &direction->ring[(direction->first + direction->waiting) % PACKETS];
        ssize_t bytes = read(direction->from, full ? refused : packet->data, PACKET_BYTES);
        if (bytes <= 0)
            return;
        uint64_t now = now_ns();
        if (direction->free_at < now)
            direction->free_at = now;
        if (full || direction->free_at - now > queue_ns) {
            direction->dropped++;
            continue;
        }
        direction->free_at += (uint64_t)((double)bytes * ns_per_byte);
        packet->due = direction->free_at + delay_ns;
        packet->bytes = (size_t)bytes;
        direction->waiting++;
    }
}

/* Let out the packets that are due. Returns when the next one will be, or `otherwise`. */
static uint64_t release_packets(struct direction *direction, uint64_t otherwise)
{
    while (direction->waiting) {
        struct packet *packet = &direction->ring[direction->first];
        if (packet->due > now_ns())
            return packet->due < otherwise ? packet->due : otherwise;
        if (write(direction->to, packet->data, packet->bytes) < 0)
            direction->dropped++;
        else
            direction->carried++;
        direction->first = (direction->first + 1) % PACKETS;
        direction->waiting--;
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: longpath NAMESPACE_A DEVICE_A NAMESPACE_B DEVICE_B MBIT_PER_S ONE_WAY_MS QUEUE_MS\n");
        return 2;
    }
    int a = create_device(argv[1], argv[2]);
    int b = create_device(argv[3], argv[4]);
    ns_per_byte = 8e3 / atof(argv[5]);
    delay_ns = (uint64_t)(atof(argv[6]) * 1e6);
    queue_ns = (uint64_t)(atof(argv[7]) * 1e6);

    struct direction there = {.from = a, .to = b, .ring = calloc(PACKETS, sizeof(struct packet))};
    struct direction back = {.from = b, .to = a, .ring = calloc(PACKETS, sizeof(struct packet))};
    if (!there.ring || !back.ring)
        fail("longpath");
    struct sigaction on_stop = {.sa_handler = stop};
    sigaction(SIGTERM, &on_stop, NULL);
    sigaction(SIGINT, &on_stop, NULL);
    puts("ready");
    fflush(stdout);

    while (!stopping) {
        uint64_t next = now_ns() + 100000000u;
        next = release_packets(&there, next);
        next = release_packets(&back, next);
        uint64_t now = now_ns();
        uint64_t left = next > now ? next - now : 0;
        struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        struct pollfd ends[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
        if (ppoll(ends, 2, &timeout, NULL) > 0) {
            accept_packets(&there);
            accept_packets(&back);
        }
    }
    fprintf(stderr, "longpath: %lu packets there, %lu dropped; %lu back, %lu dropped\n", there.carried,
            there.dropped, back.carried, back.dropped);
    return 0;
}
