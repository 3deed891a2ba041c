/* Preloaded under a program: keeps, beside a directory, a copy of what a power loss would leave of it.
 *
 * The strictest reading of POSIX: a file's contents survive as they were at its last fsync or fdatasync, a name survives
 * as it was at the last fsync of its directory, and nothing else does. After each sync that succeeded the synced inode
 * is copied to MIRROR_TO: `file-<id>` is contents, `dir-<id>` is one line `<id> <kind> <name>` for each entry. The id is
 * an extended attribute that is put on the inode when it is first seen, because inode numbers are used again.
 * MIRROR_CUT says before which sync, counted from 1, the power fails.
 * What is copied was read before the sync began, or had its length taken before it began.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ID "user.mirror"
#define ID_SIZE 64
#define WHOLE_BELOW (64 << 10) /* smaller files may be overwritten in place; larger ones only grow */

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void cut_power(void) {
    static int syncs;
    const char *cut = getenv("MIRROR_CUT");
    if (cut != NULL && __sync_add_and_fetch(&syncs, 1) == atoi(cut)) kill(getpid(), SIGKILL);
}

static int watched(int fd) {
    const char *root = getenv("MIRROR_OF");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (root == NULL || length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)) != 0) return 0;
    cut_power();
    return 1;
}

/* The id of the inode at a path, which may be /proc/self/fd/N. */
static void identify(const char *path, char *id) {
    static unsigned long count;
    ssize_t length = getxattr(path, ID, id, ID_SIZE - 1);
    if (length < 0) {
        length = snprintf(id, ID_SIZE, "%ld.%lu", (long)getpid(), ++count);
        if (setxattr(path, ID, id, (size_t)length, XATTR_CREATE) != 0) abort();
    }
    id[length] = 0;
}

static void name_of(char *out, const char *kind, const char *id, const char *suffix) {
    snprintf(out, PATH_MAX, "%s/%s-%s%s", getenv("MIRROR_TO"), kind, id, suffix);
}

static void copy_range(int from, int to, off_t start, off_t end) {
    static char buffer[1 << 16];
    while (start < end) {
        size_t want = (size_t)(end - start) < sizeof buffer ? (size_t)(end - start) : sizeof buffer;
        ssize_t got = pread(from, buffer, want, start);
        if (got <= 0 || pwrite(to, buffer, (size_t)got, start) != got) abort();
        start += got;
    }
}

static void keep_file(const char *self, const char *id, off_t size) {
    char path[PATH_MAX], target[PATH_MAX];
    name_of(target, "file", id, "");
    /* RocksDB opens its files for writing only: read through a descriptor of our own. */
    int from = open(self, O_RDONLY | O_CLOEXEC);
    if (from < 0) abort();
    if (size < WHOLE_BELOW) {
        name_of(path, "file", id, ".new");
        int to = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        copy_range(from, to, 0, size);
        close(to);
        if (rename(path, target) != 0) abort();
    } else {
        struct stat kept;
        int to = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fstat(to, &kept) != 0) abort();
        copy_range(from, to, kept.st_size, size);
        close(to);
    }
    close(from);
}

static char *list_directory(const char *self) {
    char *listing = NULL, path[PATH_MAX], id[ID_SIZE];
    size_t length = 0;
    FILE *out = open_memstream(&listing, &length);
    DIR *directory = opendir(self);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", self, entry->d_name);
        if (access(path, F_OK) != 0) continue; /* deleted by another thread while we read */
        identify(path, id);
        fprintf(out, "%s %c %s\n", id, entry->d_type == DT_DIR ? 'd' : 'f', entry->d_name);
    }
    if (directory != NULL) closedir(directory);
    fclose(out);
    return listing;
}

static void keep_directory(const char *id, const char *listing) {
    char path[PATH_MAX], target[PATH_MAX];
    name_of(path, "dir", id, ".new");
    name_of(target, "dir", id, "");
    FILE *out = fopen(path, "we");
    if (out == NULL || fputs(listing, out) < 0 || fclose(out) != 0 || rename(path, target) != 0) abort();
}

static int mirrored(int fd, long call) {
    struct stat before;
    char self[64], id[ID_SIZE], *listing = NULL;
    if (!watched(fd)) return (int)syscall(call, fd);
    pthread_mutex_lock(&one_at_a_time);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fstat(fd, &before) != 0) abort();
    identify(self, id);
    if (S_ISDIR(before.st_mode)) listing = list_directory(self);
    int result = (int)syscall(call, fd);
    int error = errno;
    if (result == 0 && listing != NULL) keep_directory(id, listing);
    if (result == 0 && S_ISREG(before.st_mode)) keep_file(self, id, before.st_size);
    free(listing);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int fsync(int fd) { return mirrored(fd, SYS_fsync); }
int fdatasync(int fd) { return mirrored(fd, SYS_fdatasync); }
