/* Kills the process that it is preloaded into at the n-th commit to SQLite's log, from outside: the product knows nothing of
 * it. A commit is a frame whose header tells the size of the database; it is durable once the log is synced.
 *
 *   CRASH_COMMIT   which commit, 1 for the first
 *   CRASH_MOMENT   `before`: all of the transaction but this last frame is in the log; `after`: it is synced
 *   CRASH_REPORT   a file that is made when it happens
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { FRAME_HEADER = 24 };

static long wanted;
static int after;
static const char *report;
static atomic_long commits;
static atomic_int unsynced;

__attribute__((constructor)) static void begin(void) {
    const char *commit = getenv("CRASH_COMMIT"), *moment = getenv("CRASH_MOMENT"), *path = getenv("CRASH_REPORT");
    wanted = commit ? atol(commit) : 0;
    after = moment && !strcmp(moment, "after");
    report = path ? strdup(path) : NULL;
    /* Not for the processes that this one starts. */
    unsetenv("LD_PRELOAD");
}

static int is_log(int fd) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 4 && !memcmp(path + length - 4, "-wal", 4);
}

static void die(void) {
    if (report) close(open(report, O_CREAT | O_WRONLY, 0600));
    kill(getpid(), SIGKILL);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    const unsigned char *header = bytes;
    if (wanted && count == FRAME_HEADER && (header[4] | header[5] | header[6] | header[7]) && is_log(fd)) {
        if (atomic_fetch_add(&commits, 1) + 1 == wanted && !after) die();
        atomic_store(&unsynced, 1);
    }
    return real(fd, bytes, count, at);
}

static int synced(int fd, int (*real)(int)) {
    int result = real(fd);
    if (wanted && atomic_load(&unsynced) && is_log(fd)) {
        atomic_store(&unsynced, 0);
        if (atomic_load(&commits) == wanted && after) die();
    }
    return result;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return synced(fd, real);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return synced(fd, real);
}
