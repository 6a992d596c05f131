/* Preloaded into PostgreSQL: every flush takes as much longer as SLOW_FLUSH_US says. It flushes nonetheless. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_longer(void) {
    const char *text = getenv("SLOW_FLUSH_US");
    if (text) usleep((useconds_t)atoi(text));
}

int fdatasync(int descriptor) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = next(descriptor);
    wait_longer();
    return result;
}

int fsync(int descriptor) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = next(descriptor);
    wait_longer();
    return result;
}
