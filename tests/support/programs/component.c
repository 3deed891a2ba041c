/* What tests run as a component of WASI 0.2: one word says what it does. `component.wasm` beside it was made from it by

     clang --target=wasm32-wasi -Os -s -o core.wasm component.c
     npx @bytecodealliance/jco@1.35.0 new core.wasm --wasi-command -o component.wasm

   which puts the adapter of preview 1, that comes with jco, around a module of Debian 12's clang and wasi-libc. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char *volatile kept;

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  return 1;
}

static int copy(const char *from, const char *to) {
  char buffer[4096];
  size_t had;
  FILE *in = fopen(from, "r"), *out = to ? fopen(to, "w") : stdout;
  if (!in) return fail(from);
  if (!out) return fail(to);
  while ((had = fread(buffer, 1, sizeof buffer, in)) > 0) fwrite(buffer, 1, had, out);
  fclose(in);
  return fflush(out) ? fail("flush") : 0;
}

static int list(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return fail(path);
  for (struct dirent *entry; (entry = readdir(folder));)
    if (entry->d_name[0] != '.') printf("%s\n", entry->d_name);
  closedir(folder);
  return 0;
}

static int clocks(void) {
  struct timespec before, after, wall, nap = {0, 5000000};
  clock_gettime(CLOCK_MONOTONIC, &before);
  nanosleep(&nap, NULL);
  clock_gettime(CLOCK_MONOTONIC, &after);
  clock_gettime(CLOCK_REALTIME, &wall);
  printf("%d %lld\n", after.tv_sec > before.tv_sec || after.tv_nsec - before.tv_nsec >= nap.tv_nsec,
         (long long)wall.tv_sec);
  return 0;
}

static int chance(void) {
  unsigned char bytes[16];
  if (getentropy(bytes, sizeof bytes)) return fail("getentropy");
  for (size_t i = 0; i < sizeof bytes; i++) printf("%02x", bytes[i]);
  printf("\n");
  return 0;
}

static int recurse(int depth) { return depth ? recurse(depth + 1) + *kept : 0; }

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "";
  if (!strcmp(what, "say"))
    for (int i = 2; i < count; i++) printf("%s\n", words[i]);
  else if (!strcmp(what, "complain"))
    fprintf(stderr, "%s\n", words[2]);
  else if (!strcmp(what, "environment"))
    for (char **one = environ; *one; one++) printf("%s\n", *one);
  else if (!strcmp(what, "exit"))
    return atoi(words[2]);
  else if (!strcmp(what, "copy"))
    return copy(words[2], count > 3 ? words[3] : NULL);
  else if (!strcmp(what, "list"))
    return list(words[2]);
  else if (!strcmp(what, "clocks"))
    return clocks();
  else if (!strcmp(what, "chance"))
    return chance();
  else if (!strcmp(what, "trap"))
    abort();
  else if (!strcmp(what, "eat"))
    for (;;) {
      if (!(kept = malloc(1 << 20))) abort();
      memset(kept, 1, 1 << 20);
    }
  else if (!strcmp(what, "recurse"))
    return kept = malloc(1), recurse(1);
  else if (!strcmp(what, "wait")) {
    printf("ready\n");
    fflush(stdout);
    for (;;) sleep(3600);
  } else
    return 64;
  return 0;
}
