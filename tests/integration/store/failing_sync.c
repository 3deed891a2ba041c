/* Preloaded under a program: while the file named by FAIL_SYNCS exists, every sync of a write-ahead log (*.log) fails
 * with an input/output error, after the data has been written. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int fd) {
    char link[64], path[PATH_MAX];
    const char *order = getenv("FAIL_SYNCS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return order != NULL && length > 4 && strncmp(path + length - 4, ".log", 4) == 0 && access(order, F_OK) == 0;
}

static int sync_or_fail(int fd, long call) {
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd) { return sync_or_fail(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_or_fail(fd, SYS_fdatasync); }
