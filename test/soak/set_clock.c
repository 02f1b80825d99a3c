/* Sets the system's clock for one process alone: it is ahead by the seconds that the file SET_CLOCK holds.
   Loaded before the C library by LD_PRELOAD, so that Python, ROS and the middleware all ask it. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && getenv("SET_CLOCK")) {
        char text[32];
        int file = open(getenv("SET_CLOCK"), O_RDONLY);
        if (file >= 0) {
            ssize_t length = read(file, text, sizeof text - 1);
            close(file);
            if (length > 0) {
                text[length] = 0;
                now->tv_sec += atol(text);
            }
        }
    }
    return failed;
}
