/* What the conformance suite runs under every driver: one word says what it does. Static, so that it is an image by
   itself; and a module of WASI, which has no signals, processes and users. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;
/* So that a compiler does not leave out memory which nobody reads. */
static char *volatile kept;

#ifdef __wasi__
static void pause(void) {
  for (;;) sleep(3600);
}
#else
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t got;

static void note(int number) { got = number; }
#endif

static void say(const char *text) {
  printf("%s\n", text);
  fflush(stdout);
}

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "";
  long number = count > 2 ? atol(words[2]) : 0;
  if (!strcmp(what, "exit")) return (int)number;
#ifndef __wasi__
  if (!strcmp(what, "die")) {
    raise((int)number);
    pause();
  }
#endif
  if (!strcmp(what, "say")) {
    for (int i = 2; i < count; i++) say(words[i]);
    return 0;
  }
  if (!strcmp(what, "fail")) { /* code, what is complained of */
    for (int i = 3; i < count; i++) fprintf(stderr, "%s\n", words[i]);
    return (int)number;
  }
  if (!strcmp(what, "tell")) { /* code or "on", what it says before it ends so or stays */
    for (int i = 3; i < count; i++) say(words[i]);
    if (!strcmp(words[2], "on")) pause();
    return (int)number;
  }
  if (!strcmp(what, "environment")) {
    for (char **one = environ; *one; one++) say(*one);
    return 0;
  }
#ifdef __wasi__
  if (!strcmp(what, "run")) {
    say("ready");
    pause();
  }
#else
  if (!strcmp(what, "run") || !strcmp(what, "stubborn") || !strcmp(what, "heed")) {
    if (!strcmp(what, "stubborn")) signal(SIGTERM, SIG_IGN);
    if (!strcmp(what, "heed")) {
      signal(SIGUSR1, note);
      signal(SIGTERM, note);
    }
    /* A signal that comes between "ready" and the wait must end the wait: blocked, but for the wait itself. */
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before);
    say("ready");
    for (;;) {
      sigsuspend(&before);
      if (got) {
        printf("signal %d\n", (int)got);
        fflush(stdout);
        if (got == SIGTERM) return 0;
        got = 0;
      }
    }
  }
#endif
  if (!strcmp(what, "order")) { /* both streams in turn */
    for (long i = 0; i < number; i++) {
      dprintf(i % 2 ? 2 : 1, "line %ld\n", i);
      usleep(2000);
    }
    return 0;
  }
  if (!strcmp(what, "flood")) { /* so many bytes in numbered lines of 100 */
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (long i = 0; i < number / 100; i++) printf("%010ld %088d\n", i, 0);
    fflush(stdout);
    return 0;
  }
  if (!strcmp(what, "eat")) { /* memory, touched */
    for (long had = 0; had < number; had += 1 << 20) {
      char *more = malloc(1 << 20);
      if (!more) abort();
      memset(more, 1, 1 << 20);
      kept = more;
    }
    say("ate");
    pause();
  }
#ifndef __wasi__
  if (!strcmp(what, "fork")) { /* how many children can live at once */
    long made = 0;
    for (; made < number; made++) {
      pid_t child = fork();
      if (child < 0) break;
      if (!child) {
        pause();
        _exit(0);
      }
    }
    printf("made %ld\n", made);
    fflush(stdout);
    pause();
  }
  if (!strcmp(what, "who")) {
    printf("%d %d\n", (int)getuid(), (int)getgid());
    return 0;
  }
#endif
  if (!strcmp(what, "spin")) { /* takes all the time that it is given */
    say("ready");
    for (volatile long i = 0;; i++) {
    }
  }
  if (!strcmp(what, "copy")) { /* standard input to standard output */
    char buffer[4096];
    ssize_t had;
    while ((had = read(0, buffer, sizeof buffer)) > 0)
      if (write(1, buffer, (size_t)had) != had) return 1;
    return 0;
  }
  if (!strcmp(what, "write")) { /* file, text */
    FILE *file = fopen(words[2], "w");
    if (!file) return errno;
    fputs(words[3], file);
    fclose(file);
    say("written");
    pause();
  }
  if (!strcmp(what, "read")) { /* files, each told with its mode and content */
    for (int i = 2; i < count; i++) {
      struct stat status;
      char content[4096] = "";
      FILE *file = fopen(words[i], "r");
      if (!file || fstat(fileno(file), &status)) {
        printf("%s: error %d\n", words[i], errno);
        continue;
      }
      content[fread(content, 1, sizeof content - 1, file)] = 0;
      printf("%s %o: %s\n", words[i], (unsigned)status.st_mode & 07777, content);
      fclose(file);
    }
    return 0;
  }
  fprintf(stderr, "unknown word\n");
  return 64;
}
