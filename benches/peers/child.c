/* What an init is measured with, in as few instructions as can be: it is static, and musl's start costs little.

   child stamp                      the time, and end
   child exec PROGRAM...            the time, then become PROGRAM
   child init -- PROGRAM...         start PROGRAM and wait for it: as little as an init can do
   child signals FILE               the time of each USR1 into FILE; ends with 0 at TERM
   child orphans BATCHES AT_ONCE    for each batch how long it took from the end of all until nobody is left of them
   child requests RATE SECONDS      the three datagrams of gunicorn for each request, to $STATSD_PORT

   Times are nanoseconds of CLOCK_MONOTONIC, one a line on stdout. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void tell(int fd, long long value) {
    char line[32];
    int length = snprintf(line, sizeof line, "%lld\n", value);
    if (write(fd, line, length) != length) _exit(1);
}

static int signals(const char *path) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = open(path, O_WRONLY);
    if (fd < 0) return 1;
    /* Whoever reads this may send. */
    tell(fd, 0);
    for (;;) {
        int signal = sigwaitinfo(&set, NULL);
        long long time = now();
        if (signal == SIGTERM) return 0;
        if (signal == SIGUSR1) tell(fd, time);
    }
}

static void batch(int at_once) {
    int gate[2], pids[2];
    if (pipe(gate) || pipe(pids)) _exit(1);
    pid_t middle = fork();
    if (middle == 0) {
        close(gate[1]);
        for (int i = 0; i < at_once; i++) {
            pid_t orphan = fork();
            if (orphan == 0) {
                char byte;
                read(gate[0], &byte, 1);
                _exit(0);
            }
            write(pids[1], &orphan, sizeof orphan);
        }
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    close(pids[1]);
    close(gate[0]);
    long long start = now();
    close(gate[1]);
    pid_t orphan;
    while (read(pids[0], &orphan, sizeof orphan) == sizeof orphan)
        while (kill(orphan, 0) == 0 || errno != ESRCH) usleep(50);
    tell(1, now() - start);
    close(pids[0]);
}

static int requests(int rate, int seconds) {
    static const char *const told[] = {
        "gunicorn.request.duration:1.234|ms", "gunicorn.requests:1|c|@1.0", "gunicorn.request.status.200:1|c|@1.0"};
    const char *port = getenv("STATSD_PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons(port ? atoi(port) : 9);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) return 1;
    long long start = now();
    for (long long sent = 0; sent < (long long)rate * seconds;) {
        for (long long due = (now() - start) * rate / 1000000000; sent < due; sent++)
            for (int i = 0; i < 3; i++) send(fd, told[i], strlen(told[i]), 0);
        usleep(500);
    }
    tell(1, port ? 1 : 0);
    /* Until what came of it has been read. */
    pause();
    return 0;
}

int main(int count, char **words) {
    const char *word = count > 1 ? words[1] : "";
    if (!strcmp(word, "stamp")) return tell(1, now()), 0;
    if (!strcmp(word, "exec") && count > 2) {
        tell(1, now());
        execv(words[2], words + 2);
        return 127;
    }
    if (!strcmp(word, "init") && count > 3) {
        pid_t program = fork();
        if (program == 0) {
            execv(words[3], words + 3);
            _exit(127);
        }
        while (wait(NULL) != program) {
        }
        return 0;
    }
    if (!strcmp(word, "signals") && count == 3) return signals(words[2]);
    if (!strcmp(word, "orphans") && count == 4) {
        for (int i = atoi(words[2]); i > 0; i--) batch(atoi(words[3]));
        tell(1, 0);
        pause();
        return 0;
    }
    if (!strcmp(word, "requests") && count == 4) return requests(atoi(words[2]), atoi(words[3]));
    return 2;
}
