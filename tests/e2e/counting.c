/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A library for LD_PRELOAD that counts what the daemon asks of the C library, for test_counts.py.
 *
 * The counters are in the file that COUNTING names, mapped shared, so that the test reads them while
 * the daemon runs. Their order is that of COUNTERS in the test.
 *
 * It sees calls that cross from one object to another: those of the daemon, not those that the C library
 * makes within itself, and not what the compiler expands in place (copies of a few bytes whose number it
 * knows, the vector loop of the unmasking move). The single-threaded daemon needs no atomic counters.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum counter {
	ALLOCATIONS,
	FREES,
	COPIES,
	COPIED_BYTES,
	CLOCKS,
	WAITS,
	COUNTERS
};

/* Until the file is mapped, which is after the loader's own first calls. */
static uint64_t early[COUNTERS];
static uint64_t *counts = early;

/* The allocator's own names in glibc: looking them up would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void *(*real_memmove)(void *, const void *, size_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static time_t (*real_time)(time_t *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);

__attribute__((constructor)) static void begin(void) {
	real_memmove = (void *(*)(void *, const void *, size_t))dlsym(RTLD_NEXT, "memmove");
	real_clock_gettime =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_time = (time_t(*)(time_t *))dlsym(RTLD_NEXT, "time");
	real_epoll_wait =
		(int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
	const char *path = getenv("COUNTING");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if(fd < 0) {
		return;
	}
	void *memory = mmap(NULL, sizeof(early), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if(memory != MAP_FAILED) {
		counts = memory;
	}
	close(fd);
}

void *malloc(size_t size) {
	counts[ALLOCATIONS]++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
	counts[ALLOCATIONS]++;
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
	counts[ALLOCATIONS]++;
	return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size) {
	size_t total;
	counts[ALLOCATIONS]++;
	return __builtin_mul_overflow(count, size, &total) ? NULL : __libc_realloc(old, total);
}

void *aligned_alloc(size_t alignment, size_t size) {
	counts[ALLOCATIONS]++;
	return __libc_memalign(alignment, size);
}

void free(void *memory) {
	counts[FREES] += memory ? 1 : 0;
	__libc_free(memory);
}

static void *copy(void *to, const void *from, size_t len) {
	counts[COPIES]++;
	counts[COPIED_BYTES] += len;
	if(real_memmove) {
		return real_memmove(to, from, len);
	}
	/* Before the constructor. Volatile keeps the compiler from making it a call of this function. */
	volatile uint8_t *out = to;
	const uint8_t *in = from;
	for(size_t i = 0; i < len; i++) {
		out[i] = in[i];
	}
	return to;
}

void *memcpy(void *to, const void *from, size_t len) {
	return copy(to, from, len);
}

void *memmove(void *to, const void *from, size_t len) {
	return copy(to, from, len);
}

void *mempcpy(void *to, const void *from, size_t len) {
	return (uint8_t *)copy(to, from, len) + len;
}

int clock_gettime(clockid_t id, struct timespec *now) {
	counts[CLOCKS]++;
	return real_clock_gettime(id, now);
}

time_t time(time_t *now) {
	counts[CLOCKS]++;
	return real_time(now);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
	counts[WAITS]++;
	return real_epoll_wait(fd, events, max, timeout);
}
