/*
 * fakecam: an MJPG webcam that exists only inside the process it is preloaded into.
 *
 * Why: two servers can only be compared when both have the same camera, and most hosts on
 * which one measures have none. Preloaded into a server, this makes FAKECAM_DEV (by default
 * /dev/video99) answer as a V4L2 capture device does: OpenCV's V4L2 backend, ustreamer and
 * linuxpy all take it, through their own, unchanged capture code.
 *
 *     FAKECAM_DIR=frames LD_PRELOAD=./fakecam.so ustreamer -d /dev/video99 -m MJPEG -c HW ...
 *
 * Environment: FAKECAM_DIR (a folder of *.jpg, required), FAKECAM_DEV, FAKECAM_WIDTH,
 * FAKECAM_HEIGHT (pixels), FAKECAM_FPS (frames per second).
 *
 * How: an opened camera is a timerfd, so that select(), poll() and epoll work on it without
 * being hooked; each expiry is one captured frame. The pictures are laid into the mmap buffers
 * once, when the buffers are asked for, and a frame costs the server nothing but its own work:
 * dequeueing only writes the stamp into the COM segment that follows SOI:
 *
 *     "FAKECAM TS=<16 digits: microseconds since the epoch> SEQ=<10 digits>"
 *
 * TS is the moment of the timer's expiry, not of the dequeueing, so a server that is slow to
 * fetch a frame delivers an older one. SEQ runs on through reopening. A server that passes the
 * JPEG through keeps both, and whoever receives it knows how old and which frame it is.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_HANDLES 8   /* a server may look at the camera with a second handle while it streams */
#define MAX_BUFFERS 16
#define MAX_PICTURES 64
#define STAMP_FORMAT "FAKECAM TS=%016llu SEQ=%010u"
#define STAMP_LENGTH 42 /* bytes of the stamp itself */
#define STAMP_OFFSET 6  /* SOI, COM marker, segment length */

/* One open file description of the camera. */
struct handle {
    int fd; /* a timerfd, or -1 when this entry is free */
    int streaming;
    uint64_t started;  /* CLOCK_MONOTONIC, ns: when the timer was started */
    uint64_t captured; /* frames since then, dropped ones included */
    unsigned buffers;
    unsigned char *memory[MAX_BUFFERS];
    size_t picture_bytes[MAX_BUFFERS];
    unsigned queue[MAX_BUFFERS]; /* indexes of the buffers the server has queued, oldest first */
    unsigned queued;
};

static struct handle handles[MAX_HANDLES] = {
    {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1},
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *pictures[MAX_PICTURES];
static size_t picture_bytes[MAX_PICTURES];
static unsigned picture_count;
static unsigned sequence;

/* The real function behind a hook; looked up once, because servers call ioctl() for every frame they send. */
#define REAL(name)                                                 \
    (__extension__({                                               \
        static __typeof__(&name) real;                             \
        if (!real)                                                 \
            real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);     \
        real;                                                      \
    }))

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value ? (unsigned)atoi(value) : otherwise;
}

static unsigned width(void) { return setting("FAKECAM_WIDTH", 1280); }
static unsigned height(void) { return setting("FAKECAM_HEIGHT", 720); }
static unsigned fps(void) { return setting("FAKECAM_FPS", 30); }

/* Bytes of one buffer; a multiple of the page, since it is also the step between mmap offsets. */
static size_t buffer_bytes(void) { return ((size_t)width() * height() * 2 + 4095) & ~(size_t)4095; }

static int is_camera(const char *path)
{
    const char *device = getenv("FAKECAM_DEV");
    return path && strcmp(path, device ? device : "/dev/video99") == 0;
}

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct handle *find_handle(int fd)
{
    if (fd >= 0)
        for (int i = 0; i < MAX_HANDLES; i++)
            if (handles[i].fd == fd)
                return &handles[i];
    return NULL;
}

/* Read FAKECAM_DIR once per process. */
static void load_pictures(void)
{
    const char *folder = getenv("FAKECAM_DIR");
    char pattern[4096];
    glob_t found;

    if (picture_count || !folder)
        return;
    snprintf(pattern, sizeof pattern, "%s/*.jpg", folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc && picture_count < MAX_PICTURES; i++) {
        FILE *file = fopen(found.gl_pathv[i], "rb");
        struct stat status;
        if (!file)
            continue;
        if (fstat(fileno(file), &status) == 0 && status.st_size > 4) {
            unsigned char *bytes = malloc((size_t)status.st_size);
            if (bytes && fread(bytes, 1, (size_t)status.st_size, file) == (size_t)status.st_size) {
                pictures[picture_count] = bytes;
                picture_bytes[picture_count++] = (size_t)status.st_size;
            }
        }
        fclose(file);
    }
    globfree(&found);
}

static int open_camera(int flags)
{
    int fd = -1;

    pthread_mutex_lock(&lock);
    load_pictures();
    if (!picture_count) {
        errno = ENOENT;
    } else {
        for (int i = 0; i < MAX_HANDLES && fd < 0; i++) {
            if (handles[i].fd >= 0)
                continue;
            int nonblocking = flags & O_NONBLOCK ? TFD_NONBLOCK : 0;
            fd = timerfd_create(CLOCK_MONOTONIC, nonblocking | TFD_CLOEXEC);
            handles[i] = (struct handle){.fd = fd};
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

/* Lay one picture into buffer `index`, with an empty stamp after SOI. */
static int fill_buffer(struct handle *camera, unsigned index)
{
    unsigned picture = index % picture_count;
    size_t bytes = picture_bytes[picture] + 4 + STAMP_LENGTH;
    unsigned char *memory;

    if (bytes > buffer_bytes())
        return -1;
    memory = mmap(NULL, buffer_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    memcpy(memory, "\xff\xd8\xff\xfe\x00", 5);
    memory[5] = STAMP_LENGTH + 2;
    memcpy(memory + STAMP_OFFSET + STAMP_LENGTH, pictures[picture] + 2, picture_bytes[picture] - 2);
    camera->memory[index] = memory;
    camera->picture_bytes[index] = bytes;
    return 0;
}

static int request_buffers(struct handle *camera, struct v4l2_requestbuffers *request)
{
    if (request->memory != V4L2_MEMORY_MMAP || request->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return EINVAL;
    if (request->count > MAX_BUFFERS)
        request->count = MAX_BUFFERS;
    /* Memory already given out stays: the server unmaps it itself, as it does with a real camera. */
    for (unsigned i = 0; i < request->count; i++)
        if (fill_buffer(camera, i) < 0)
            return ENOMEM;
    camera->buffers = request->count;
    camera->queued = 0;
    request->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP;
    return 0;
}

static int start_or_stop(struct handle *camera, int streaming)
{
    long interval = 1000000000L / (long)fps();
    struct itimerspec timer = {{0, 0}, {0, 0}};

    if (streaming)
        timer = (struct itimerspec){{0, interval}, {0, interval}};
    camera->started = nanoseconds(CLOCK_MONOTONIC);
    camera->captured = 0;
    camera->streaming = streaming;
    if (!streaming)
        camera->queued = 0;
    return timerfd_settime(camera->fd, 0, &timer, NULL) < 0 ? errno : 0;
}

static void describe_buffer(const struct handle *camera, struct v4l2_buffer *buffer, unsigned flags)
{
    buffer->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer->memory = V4L2_MEMORY_MMAP;
    buffer->field = V4L2_FIELD_NONE;
    buffer->length = (unsigned)buffer_bytes();
    buffer->m.offset = (unsigned)(buffer->index * buffer_bytes());
    buffer->bytesused = (unsigned)camera->picture_bytes[buffer->index];
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | flags;
}

static int queue_buffer(struct handle *camera, struct v4l2_buffer *buffer)
{
    if (buffer->index >= camera->buffers || camera->queued >= MAX_BUFFERS)
        return EINVAL;
    camera->queue[camera->queued++] = buffer->index;
    describe_buffer(camera, buffer, V4L2_BUF_FLAG_QUEUED);
    return 0;
}

/* Give the frame of the last expiry of the timer. The lock is not held while the read may block. */
static int dequeue_buffer(struct handle *camera, struct v4l2_buffer *buffer)
{
    uint64_t expiries;
    char stamp[64];

    if (read(camera->fd, &expiries, sizeof expiries) != sizeof expiries)
        return errno ? errno : EAGAIN;
    pthread_mutex_lock(&lock);
    camera->captured += expiries;
    sequence += (unsigned)expiries;
    if (!camera->queued) { /* the server holds all buffers: a real camera drops the frame, too */
        pthread_mutex_unlock(&lock);
        return EAGAIN;
    }
    unsigned index = camera->queue[0];
    camera->queued--;
    memmove(camera->queue, camera->queue + 1, camera->queued * sizeof camera->queue[0]);

    uint64_t moment = camera->started + camera->captured * (1000000000u / fps());
    uint64_t since = nanoseconds(CLOCK_MONOTONIC) - moment;
    uint64_t wall = nanoseconds(CLOCK_REALTIME) - since;
    snprintf(stamp, sizeof stamp, STAMP_FORMAT, (unsigned long long)(wall / 1000), sequence);
    memcpy(camera->memory[index] + STAMP_OFFSET, stamp, STAMP_LENGTH);

    buffer->index = index;
    describe_buffer(camera, buffer, V4L2_BUF_FLAG_DONE);
    buffer->sequence = sequence;
    buffer->timestamp.tv_sec = (time_t)(moment / 1000000000u);
    buffer->timestamp.tv_usec = (suseconds_t)(moment % 1000000000u / 1000);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void describe_capability(struct v4l2_capability *capability)
{
    memset(capability, 0, sizeof *capability);
    strcpy((char *)capability->driver, "fakecam");
    strcpy((char *)capability->card, "Fake camera");
    strcpy((char *)capability->bus_info, "platform:fakecam");
    capability->version = 0x060000;
    capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
}

static int describe_format(struct v4l2_format *format)
{
    if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return EINVAL;
    memset(&format->fmt, 0, sizeof format->fmt);
    format->fmt.pix.width = width();
    format->fmt.pix.height = height();
    format->fmt.pix.pixelformat = V4L2_PIX_FMT_MJPEG;
    format->fmt.pix.field = V4L2_FIELD_NONE;
    format->fmt.pix.sizeimage = (unsigned)buffer_bytes();
    format->fmt.pix.colorspace = V4L2_COLORSPACE_JPEG;
    return 0;
}

static int describe_rate(struct v4l2_streamparm *parameters)
{
    if (parameters->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return EINVAL;
    memset(&parameters->parm, 0, sizeof parameters->parm);
    parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    parameters->parm.capture.timeperframe = (struct v4l2_fract){1, fps()};
    return 0;
}

static int list_format(struct v4l2_fmtdesc *description)
{
    if (description->index || description->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
        return EINVAL;
    description->flags = V4L2_FMT_FLAG_COMPRESSED;
    description->pixelformat = V4L2_PIX_FMT_MJPEG;
    strcpy((char *)description->description, "Motion-JPEG");
    return 0;
}

static int list_size(struct v4l2_frmsizeenum *size)
{
    if (size->index || size->pixel_format != V4L2_PIX_FMT_MJPEG)
        return EINVAL;
    size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    size->discrete.width = width();
    size->discrete.height = height();
    return 0;
}

static int list_rate(struct v4l2_frmivalenum *rate)
{
    if (rate->index || rate->pixel_format != V4L2_PIX_FMT_MJPEG)
        return EINVAL;
    rate->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    rate->discrete = (struct v4l2_fract){1, fps()};
    return 0;
}

static int list_input(struct v4l2_input *input)
{
    if (input->index)
        return EINVAL;
    strcpy((char *)input->name, "Camera 1");
    input->type = V4L2_INPUT_TYPE_CAMERA;
    return 0;
}

/* Answer one ioctl on the camera; the result is 0 or an errno. Called with the lock held. */
static int answer(struct handle *camera, unsigned request, void *argument)
{
    struct v4l2_buffer *buffer = argument;

    switch (request) {
    case VIDIOC_QUERYCAP:
        describe_capability(argument);
        return 0;
    case VIDIOC_ENUMINPUT:
        return list_input(argument);
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return *(int *)argument ? EINVAL : 0;
    case VIDIOC_ENUM_FMT:
        return list_format(argument);
    case VIDIOC_ENUM_FRAMESIZES:
        return list_size(argument);
    case VIDIOC_ENUM_FRAMEINTERVALS:
        return list_rate(argument);
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_G_FMT:
        return describe_format(argument);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        return describe_rate(argument);
    case VIDIOC_REQBUFS:
        return request_buffers(camera, argument);
    case VIDIOC_QUERYBUF:
        if (buffer->index >= camera->buffers)
            return EINVAL;
        describe_buffer(camera, buffer, 0);
        return 0;
    case VIDIOC_QBUF:
        return queue_buffer(camera, buffer);
    case VIDIOC_STREAMON:
        return start_or_stop(camera, 1);
    case VIDIOC_STREAMOFF:
        return start_or_stop(camera, 0);
    case VIDIOC_QUERYCTRL:
    case VIDIOC_QUERY_EXT_CTRL:
    case VIDIOC_QUERYMENU:
    case VIDIOC_G_CTRL:
    case VIDIOC_S_CTRL:
        return EINVAL; /* it has no controls */
    default:
        return ENOTTY;
    }
}

/* The hooks, from here on. Each hands everything that is not the camera to the real function. */

#define OPEN_HOOK(name)                                            \
    int name(const char *path, int flags, ...)                     \
    {                                                              \
        va_list arguments;                                         \
        va_start(arguments, flags);                                \
        mode_t mode = (mode_t)va_arg(arguments, int);              \
        va_end(arguments);                                         \
        if (is_camera(path))                                       \
            return open_camera(flags);                             \
        return REAL(name)(path, flags, mode);                      \
    }

OPEN_HOOK(open)
OPEN_HOOK(open64)

#define OPENAT_HOOK(name)                                          \
    int name(int folder, const char *path, int flags, ...)         \
    {                                                              \
        va_list arguments;                                         \
        va_start(arguments, flags);                                \
        mode_t mode = (mode_t)va_arg(arguments, int);              \
        va_end(arguments);                                         \
        if (is_camera(path))                                       \
            return open_camera(flags);                             \
        return REAL(name)(folder, path, flags, mode);              \
    }

OPENAT_HOOK(openat)
OPENAT_HOOK(openat64)

/* What programs built with _FORTIFY_SOURCE call instead of open(). */
int __open_2(const char *path, int flags) { return open(path, flags, 0); }
int __open64_2(const char *path, int flags) { return open64(path, flags, 0); }

#define DESCRIBE_AS_CAMERA(status)                                 \
    do {                                                           \
        memset(status, 0, sizeof *(status));                       \
        (status)->st_mode = S_IFCHR | 0660;                        \
        (status)->st_rdev = makedev(81, 99);                       \
        (status)->st_nlink = 1;                                    \
    } while (0)

#define STAT_HOOK(name, type)                                      \
    int name(const char *restrict path, struct type *restrict status) \
    {                                                              \
        if (!is_camera(path))                                      \
            return REAL(name)(path, status);                       \
        DESCRIBE_AS_CAMERA(status);                                \
        return 0;                                                  \
    }

STAT_HOOK(stat, stat)
STAT_HOOK(lstat, stat)
STAT_HOOK(stat64, stat64)
STAT_HOOK(lstat64, stat64)

int fstatat(int folder, const char *restrict path, struct stat *restrict status, int flags)
{
    if (!is_camera(path))
        return REAL(fstatat)(folder, path, status, flags);
    DESCRIBE_AS_CAMERA(status);
    return 0;
}

/* Python looks at every file it opens with fstat(), which must not see a timer. */
int fstat(int fd, struct stat *status)
{
    if (!find_handle(fd))
        return REAL(fstat)(fd, status);
    DESCRIBE_AS_CAMERA(status);
    return 0;
}

int access(const char *path, int mode)
{
    return is_camera(path) ? 0 : REAL(access)(path, mode);
}

int faccessat(int folder, const char *path, int mode, int flags)
{
    return is_camera(path) ? 0 : REAL(faccessat)(folder, path, mode, flags);
}

int close(int fd)
{
    pthread_mutex_lock(&lock);
    struct handle *camera = find_handle(fd);
    if (camera)
        camera->fd = -1;
    pthread_mutex_unlock(&lock);
    return REAL(close)(fd);
}

static void *map_buffer(struct handle *camera, off_t offset)
{
    size_t index = (size_t)offset / buffer_bytes();
    if (index >= camera->buffers) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    return camera->memory[index];
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    struct handle *camera = find_handle(fd);
    return camera ? map_buffer(camera, offset) : REAL(mmap)(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    struct handle *camera = find_handle(fd);
    return camera ? map_buffer(camera, offset) : REAL(mmap64)(address, length, protection, flags, fd, offset);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);

    struct handle *camera = find_handle(fd);
    if (!camera)
        return REAL(ioctl)(fd, request, argument);
    int result;
    if ((unsigned)request == VIDIOC_DQBUF) {
        result = dequeue_buffer(camera, argument);
    } else {
        pthread_mutex_lock(&lock);
        result = answer(camera, (unsigned)request, argument);
        pthread_mutex_unlock(&lock);
    }
    if (result) {
        errno = result;
        return -1;
    }
    return 0;
}
