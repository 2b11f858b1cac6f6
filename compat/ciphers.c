/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cipher lists of OpenSSL (ciphers(1)), for TLS up to 1.2, as priority strings of GnuTLS.
 *
 * It must not know other options.
 * Invariants: the list is applied to the suites that both libraries have, in OpenSSL's order of
 * rules; algorithms that the daemon never offers select nothing.
 */
#include "compat/ciphers.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

/* Properties of a suite, which words select by. */
enum {
	ECDHE = 1 << 0,
	DHE = 1 << 1, /* costs a server too much to be a part of general words */
	KRSA = 1 << 2,
	ARSA = 1 << 3,
	AECDSA = 1 << 4,
	AES128 = 1 << 5,
	AES256 = 1 << 6,
	AESGCM = 1 << 7,
	CHACHA = 1 << 8,
	SHA1 = 1 << 9,
	SHA256 = 1 << 10,
	SHA384 = 1 << 11,
	AEAD = 1 << 12,
	SSL3 = 1 << 13, /* the version that has introduced it */
	TLS10 = 1 << 14,
	TLS12 = 1 << 15,
	EVERY = ECDHE | DHE | KRSA,
	NOTHING = 0
};

/* Key exchange, cipher and MAC of GnuTLS. */
struct suite {
	const char *name;
	unsigned is;
	const char *part[3];
};
#define PARTS 3

#define GCM128 (AES128 | AESGCM | AEAD | TLS12)
#define GCM256 (AES256 | AESGCM | AEAD | TLS12)
#define POLY (CHACHA | AEAD | TLS12)

/* clang-format off */
#define SUITES_EC(name, bits, kx) \
	{name "-AES256-GCM-SHA384", (bits) | GCM256, {kx, "AES-256-GCM", "AEAD"}}, \
	{name "-CHACHA20-POLY1305", (bits) | POLY, {kx, "CHACHA20-POLY1305", "AEAD"}}, \
	{name "-AES128-GCM-SHA256", (bits) | GCM128, {kx, "AES-128-GCM", "AEAD"}}, \
	{name "-AES256-SHA384", (bits) | AES256 | SHA384 | TLS12, {kx, "AES-256-CBC", "SHA384"}}, \
	{name "-AES128-SHA256", (bits) | AES128 | SHA256 | TLS12, {kx, "AES-128-CBC", "SHA256"}}, \
	{name "-AES256-SHA", (bits) | AES256 | SHA1 | TLS10, {kx, "AES-256-CBC", "SHA1"}}, \
	{name "-AES128-SHA", (bits) | AES128 | SHA1 | TLS10, {kx, "AES-128-CBC", "SHA1"}}

#define SUITES_RSA(name, bits, kx) \
	{name "AES256-GCM-SHA384", (bits) | GCM256, {kx, "AES-256-GCM", "AEAD"}}, \
	{name "AES128-GCM-SHA256", (bits) | GCM128, {kx, "AES-128-GCM", "AEAD"}}, \
	{name "AES256-SHA256", (bits) | AES256 | SHA256 | TLS12, {kx, "AES-256-CBC", "SHA256"}}, \
	{name "AES128-SHA256", (bits) | AES128 | SHA256 | TLS12, {kx, "AES-128-CBC", "SHA256"}}, \
	{name "AES256-SHA", (bits) | AES256 | SHA1 | SSL3, {kx, "AES-256-CBC", "SHA1"}}, \
	{name "AES128-SHA", (bits) | AES128 | SHA1 | SSL3, {kx, "AES-128-CBC", "SHA1"}}
/* clang-format on */

static const struct suite suites[] = {
	SUITES_EC("ECDHE-ECDSA", ECDHE | AECDSA, "ECDHE-ECDSA"),
	SUITES_EC("ECDHE-RSA", ECDHE | ARSA, "ECDHE-RSA"),
	{"DHE-RSA-CHACHA20-POLY1305", DHE | ARSA | POLY, {"DHE-RSA", "CHACHA20-POLY1305", "AEAD"}},
	SUITES_RSA("DHE-RSA-", DHE | ARSA, "DHE-RSA"),
	SUITES_RSA("", KRSA | ARSA, "RSA"),
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

/* Words for many suites: those with one of the properties. */
static const struct {
	const char *name;
	unsigned any;
} words[] = {
	{"ALL", EVERY},
	{"DEFAULT", EVERY},
	{"HIGH", EVERY},
	{"FIPS", AES128 | AES256},
	{"ECDHE", ECDHE},
	{"EECDH", ECDHE},
	{"kECDHE", ECDHE},
	{"kEECDH", ECDHE},
	{"DHE", DHE},
	{"EDH", DHE},
	{"DH", DHE},
	{"kDHE", DHE},
	{"kEDH", DHE},
	{"RSA", KRSA},
	{"kRSA", KRSA},
	{"aRSA", ARSA},
	{"ECDSA", AECDSA},
	{"aECDSA", AECDSA},
	{"AES", AES128 | AES256},
	{"AES128", AES128},
	{"AES256", AES256},
	{"AESGCM", AESGCM},
	{"CHACHA20", CHACHA},
	{"SHA", SHA1},
	{"SHA1", SHA1},
	{"SHA256", SHA256},
	{"SHA384", SHA384},
	{"SSLv3", SSL3},
	{"TLSv1", SSL3 | TLS10},
	{"TLSv1.0", TLS10},
	{"TLSv1.2", TLS12},
	{"MEDIUM", NOTHING},
	{"LOW", NOTHING},
	{"COMPLEMENTOFALL", NOTHING},
	{"COMPLEMENTOFDEFAULT", NOTHING},
	{"SSLv2", NOTHING},
};

/* Algorithms that the daemon never offers: in words, or as parts of the names of suites. */
static const char *const missing[] = {"NULL", "aNULL", "eNULL", "EXP", "EXPORT", "EXPORT40",
	"EXPORT56", "DES", "3DES", "CBC3", "RC2", "RC4", "MD5", "IDEA", "SEED", "ADH", "AECDH",
	"PSK", "kPSK", "aPSK", "kDHEPSK", "kECDHEPSK", "kRSAPSK", "SRP", "kSRP", "aSRP", "KRB5",
	"DSS", "aDSS", "kDH", "kDHr", "kDHd", "aDH", "kECDH", "kECDHr", "kECDHe", "aECDH", "ECDH",
	"GOST", "kGOST", "aGOST", "aGOST01", "GOST94", "GOST89MAC", "CAMELLIA", "CAMELLIA128",
	"CAMELLIA256", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "AESCCM", "AESCCM8", "CCM", "CCM8",
	"CBC", "DHE-DSS"};

/* A list that is being applied. */
struct selection {
	size_t at[SUITES]; /* in the order of preference */
	size_t count;
	bool killed[SUITES]; /* excluded with '!' */
	bool matches[SUITES]; /* of the word in hand */
};

/* ---- words ---- */

static bool is_missing(struct slice part) {
	for(size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		if(text_is(part, missing[i])) {
			return true;
		}
	}
	return false;
}

/* Has a suite of this name an algorithm that the daemon never offers? */
static bool has_missing(struct slice name) {
	struct slice part;
	bool more = true;
	while(more) {
		more = text_split(&name, '-', &part);
		if(is_missing(more ? part : name)) {
			return true;
		}
	}
	return false;
}

/* Keeps of the matching suites those that the simple word `word` selects, too. False: unknown. */
static bool restrict_matches(struct selection *selection, struct slice word, unsigned *named) {
	for(size_t i = 0; i < SUITES; i++) {
		if(text_is(word, suites[i].name)) {
			bool matched = selection->matches[i];
			memset(selection->matches, 0, sizeof(selection->matches));
			selection->matches[i] = matched;
			*named |= suites[i].is;
			return true;
		}
	}
	for(size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
		if(text_is(word, words[k].name)) {
			for(size_t i = 0; i < SUITES; i++) {
				selection->matches[i] &= (suites[i].is & words[k].any) != 0;
			}
			*named |= words[k].any == EVERY ? 0 : words[k].any;
			return true;
		}
	}
	memset(selection->matches, 0, sizeof(selection->matches));
	return has_missing(word);
}

/* The suites of "A+B+C". DHE has to be named if they are to be added. False: a word is unknown. */
static bool match(struct selection *selection, struct slice word, bool adds) {
	unsigned named = 0;
	memset(selection->matches, true, sizeof(selection->matches));
	struct slice part;
	bool more = true;
	while(more) {
		more = text_split(&word, '+', &part);
		if(!restrict_matches(selection, more ? part : word, &named)) {
			return false;
		}
	}
	for(size_t i = 0; adds && !(named & DHE) && i < SUITES; i++) {
		selection->matches[i] &= !(suites[i].is & DHE);
	}
	return true;
}

/* ---- rules ---- */

static void remove_matches(struct selection *selection) {
	size_t kept = 0;
	for(size_t i = 0; i < selection->count; i++) {
		if(!selection->matches[selection->at[i]]) {
			selection->at[kept++] = selection->at[i];
		}
	}
	selection->count = kept;
}

static bool is_selected(const struct selection *selection, size_t suite) {
	for(size_t i = 0; i < selection->count; i++) {
		if(selection->at[i] == suite) {
			return true;
		}
	}
	return false;
}

static void add_matches(struct selection *selection) {
	for(size_t i = 0; i < SUITES; i++) {
		if(selection->matches[i] && !selection->killed[i] && !is_selected(selection, i)) {
			selection->at[selection->count++] = i;
		}
	}
}

static void move_matches(struct selection *selection) {
	size_t moved[SUITES] = {0};
	size_t count = 0;
	for(size_t i = 0; i < selection->count; i++) {
		if(selection->matches[selection->at[i]]) {
			moved[count++] = selection->at[i];
		}
	}
	remove_matches(selection);
	for(size_t i = 0; i < count; i++) {
		selection->at[selection->count++] = moved[i];
	}
}

static void kill_matches(struct selection *selection) {
	remove_matches(selection);
	for(size_t i = 0; i < SUITES; i++) {
		selection->killed[i] |= selection->matches[i];
	}
}

/* "@STRENGTH": the longest keys first. ChaCha20 has 256 bits. */
static void sort_by_strength(struct selection *selection) {
	for(size_t i = 0; i < SUITES; i++) {
		selection->matches[i] = suites[i].is & AES128;
	}
	move_matches(selection);
}

/* Levels above 2 ask for longer keys than the daemon's algorithms have. */
static bool apply_command(struct selection *selection, struct slice word) {
	static const char *const levels[] = {"@SECLEVEL=0", "@SECLEVEL=1", "@SECLEVEL=2"};
	if(text_is(word, "@STRENGTH")) {
		sort_by_strength(selection);
		return true;
	}
	for(size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if(text_is(word, levels[i])) {
			return true;
		}
	}
	return false;
}

/* False: the word is unknown. */
static bool apply(struct selection *selection, struct slice word) {
	static const struct {
		char sign;
		void (*rule)(struct selection *selection);
	} rules[] = {{'!', kill_matches}, {'-', remove_matches}, {'+', move_matches}};
	if(word.at[0] == '@') {
		return apply_command(selection, word);
	}
	for(size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if(word.at[0] == rules[i].sign) {
			word.at++;
			word.len--;
			if(!match(selection, word, false)) {
				return false;
			}
			rules[i].rule(selection);
			return true;
		}
	}
	if(!match(selection, word, true)) {
		return false;
	}
	add_matches(selection);
	return true;
}

/* ---- output ---- */

static bool uses_part(
	const struct selection *selection, size_t count, size_t part, const char *name) {
	for(size_t i = 0; i < count; i++) {
		if(strcmp(suites[selection->at[i]].part[part], name) == 0) {
			return true;
		}
	}
	return false;
}

static void write_parts(const struct selection *selection, char out[CIPHERS_MAX]) {
	static const char *const none[PARTS] = {":-KX-ALL", ":-CIPHER-ALL", ":-MAC-ALL"};
	char *end = out;
	for(size_t part = 0; part < PARTS; part++) {
		end = stpcpy(end, none[part]);
		for(size_t i = 0; i < selection->count; i++) {
			const char *name = suites[selection->at[i]].part[part];
			if(!uses_part(selection, i, part, name)) {
				end = stpcpy(stpcpy(end, ":+"), name);
			}
		}
	}
	if(!uses_part(selection, selection->count, 0, "DHE-RSA")) {
		end = stpcpy(end, ":-GROUP-DH-ALL");
	}
	end = stpcpy(end, ":%SERVER_PRECEDENCE");
	assert((size_t)(end - out) < CIPHERS_MAX);
}

/* GnuTLS combines the parts freely: suites that are in no rule may result. */
static void note_others(struct compat *compat, const struct selection *selection) {
	for(size_t i = 0; i < SUITES; i++) {
		bool combined = true;
		for(size_t part = 0; part < PARTS; part++) {
			combined &=
				uses_part(selection, selection->count, part, suites[i].part[part]);
		}
		if(combined && !is_selected(selection, i)) {
			texts_add(&compat->notices, NULL,
				"--ssl-ciphers: %s is allowed as well, as its parts are those of "
				"others in the list",
				suites[i].name);
		}
	}
}

static bool has_tls13(const struct selection *selection) {
	for(size_t i = 0; i < selection->count; i++) {
		if(suites[selection->at[i]].is & AEAD) {
			return true;
		}
	}
	return false;
}

static bool apply_all(struct compat *compat, struct selection *selection, const char *list) {
	static const char separators[] = ":, ;";
	while(*list) {
		struct slice word = {list, strcspn(list, separators)};
		if(word.len > 0 && !apply(selection, word)) {
			compat_fail(compat,
				"--ssl-ciphers: \"%.*s\" is not known here (see ciphers(1), or use "
				"websocksy with tls-priority)",
				(int)word.len, word.at);
			return false;
		}
		list += word.len;
		list += *list != '\0';
	}
	return true;
}

bool ciphers_translate(
	struct compat *compat, const char *list, char out[CIPHERS_MAX], bool *tls13) {
	struct selection selection = {.count = 0};
	if(!apply_all(compat, &selection, list)) {
		return false;
	}
	if(selection.count == 0) {
		compat_fail(compat, "--ssl-ciphers: no algorithm of \"%s\" is supported", list);
		return false;
	}
	note_others(compat, &selection);
	write_parts(&selection, out);
	*tls13 = has_tls13(&selection);
	return true;
}
