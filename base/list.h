/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Doubly linked rings whose nodes are embedded in the linked objects.
 */
#ifndef WEBSOCKSY_LIST_H
#define WEBSOCKSY_LIST_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* The structure of `type` whose `member` is at `pointer`. */
#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A head or a node; a node that is in no ring has next NULL. */
struct list {
	struct list *next;
	struct list *prev;
};

/* Makes `head` an empty ring. */
static inline void list_init(struct list *head) {
	head->next = head;
	head->prev = head;
}

static inline bool list_is_empty(const struct list *head) {
	return head->next == head;
}

static inline bool list_is_linked(const struct list *node) {
	return node->next != NULL;
}

static inline void list_append(struct list *head, struct list *node) {
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list *node) {
	/* The analyzer does not know that a node that was freed has left its ring. */
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	assert(node->next && node->prev);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

/* Moves all nodes of `from` to the empty `to`. */
static inline void list_take(struct list *to, struct list *from) {
	list_init(to);
	if(!list_is_empty(from)) {
		*to = *from;
		to->next->prev = to;
		to->prev->next = to;
		list_init(from);
	}
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void list_join(struct list *to, struct list *from) {
	if(!list_is_empty(from)) {
		from->next->prev = to->prev;
		from->prev->next = to;
		to->prev->next = from->next;
		to->prev = from->prev;
		list_init(from);
	}
}
#endif
