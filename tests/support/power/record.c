/* Records what a process writes and syncs below one folder, so that a test can rebuild what a disk would hold if the power went.
 *
 * Loaded with LD_PRELOAD. BULLA_POWER_FOLDER is the folder, BULLA_POWER_LOG the file that records go to, in the order in which they
 * took effect: one lock is held over each call and its record. All numbers are of this machine's byte order.
 *
 *   u8 kind   W write, T truncate, S sync (its begin), F sync (its end), R rename, U unlink, C create
 *   u64 time  CLOCK_MONOTONIC, ns, after the call
 *   u16 length of the path, the path
 *   u64 offset (W), length (T)
 *   u32 length of the data, the data (W: bytes; R: the new path)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("BULLA_POWER_LOG");
    folder = getenv("BULLA_POWER_FOLDER");
    if (path && folder) out = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int ours(const char *path) { return out >= 0 && path && strncmp(path, folder, strlen(folder)) == 0; }

static int path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = out < 0 ? -1 : readlink(link, path, PATH_MAX - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return ours(path);
}

static void record(char kind, const char *path, uint64_t at, const void *data, uint32_t length) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint16_t path_length = (uint16_t)strlen(path);
    struct iovec parts[] = {{&kind, 1}, {&time, 8}, {&path_length, 2}, {(void *)path, path_length},
                            {&at, 8}, {&length, 4}, {(void *)data, length}};
    if (syscall(SYS_writev, out, parts, 7) < 0) abort();
}

ssize_t write(int fd, const void *data, size_t count) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_write, fd, data, count);
    pthread_mutex_lock(&lock);
    ssize_t n = syscall(SYS_write, fd, data, count);
    if (n > 0) record('W', path, (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)n, data, (uint32_t)n);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_pwrite64, fd, data, count, at);
    pthread_mutex_lock(&lock);
    ssize_t n = syscall(SYS_pwrite64, fd, data, count, at);
    if (n > 0) record('W', path, (uint64_t)at, data, (uint32_t)n);
    pthread_mutex_unlock(&lock);
    return n;
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { return pwrite64(fd, data, count, at); }

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0) record('T', path, (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_as(long call, int fd) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    record('S', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    int done = (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    if (done == 0) record('F', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int fsync(int fd) { return sync_as(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_as(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    if (!ours(from)) return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (done == 0) record('R', from, 0, to, (uint32_t)strlen(to));
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    if (!ours(path)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (done == 0) record('U', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

static int opened(int fd, int flags) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & O_CREAT) && path_of(fd, path)) {
        struct stat found;
        if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
            pthread_mutex_lock(&lock);
            record('C', path, (flags & O_TRUNC) ? 1 : 0, "", 0);
            pthread_mutex_unlock(&lock);
        }
    }
    return fd;
}
static int mode_of(int flags, va_list rest) { return (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, int) : 0; }
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = mode_of(flags, rest);
    va_end(rest);
    return opened((int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode), flags);
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = mode_of(flags, rest);
    va_end(rest);
    return opened((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), flags);
}
