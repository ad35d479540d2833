/* template_number.c - numbers in text and rounded, as Python's int(), float() and round() have them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/template_eval.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int digit_value(char c) {
    if (is_digit(c)) return c - '0';
    char lower = c | 0x20;
    return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

/* A copy without white space around it; NULL when it is no string. */
static char *copy_stripped(struct jinja_run *run, struct jinja_value v) {
    if (v.kind != JINJA_STRING) return NULL;
    struct jinja_value stripped = jinja_strip(run, v.string, NULL, JINJA_BOTH);
    if (stripped.kind != JINJA_STRING) return NULL;
    const struct jinja_string *s = stripped.string;
    char *text = jinja_take(run, s->n_bytes + 1, 1);
    if (!text || memchr(s->bytes, 0, s->n_bytes)) return NULL;
    memcpy(text, s->bytes, s->n_bytes);
    text[s->n_bytes] = 0;
    return text;
}

/* ---- integers -------------------------------------------------------------------------------- */

/* Skips what may say the base, and gives it: 0 when none is meant. */
static int read_base(const char **text, int64_t base) {
    const char *t = *text;
    char letter = t[0] == '0' ? t[1] | 0x20 : 0;
    int said = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (said && (base == said || base == 0)) {
        *text += 2 + (t[2] == '_');
        return said;
    }
    if (base == 0) return t[0] == '0' && strspn(t, "0_") < strlen(t) ? 0 : 10; /* 010 is none */
    return base >= 2 && base <= 36 ? (int)base : 0;
}

bool jinja_parse_int(struct jinja_run *run, struct jinja_value v, int64_t base_given, int64_t *out) {
    const char *text = copy_stripped(run, v);
    if (!text) return false;
    bool negative = *text == '-', overflow = false;
    if (*text == '-' || *text == '+') text++;
    int base = read_base(&text, base_given);
    if (base == 0 || digit_value(*text) >= base) return false;
    int64_t value = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '_' && at[1]) at++;
        int digit = digit_value(*at);
        if (digit >= base) return false;
        overflow = overflow || __builtin_mul_overflow(value, (int64_t)base, &value) ||
                   __builtin_sub_overflow(value, (int64_t)digit, &value);
    }
    if (overflow || (!negative && value == INT64_MIN)) jinja_fail(run, "a number leaves 64 bits");
    *out = negative || overflow ? value : value == INT64_MIN ? 0 : -value;
    return !run->failed;
}

/* ---- floats ---------------------------------------------------------------------------------- */

static bool is_float_name(const char *text) {
    static const char *const names[] = {"inf", "infinity", "nan"};
    text += *text == '-' || *text == '+';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(text, names[i]) == 0) return true;
    return false;
}

bool jinja_parse_float(struct jinja_run *run, struct jinja_value v, double *out) {
    char *text = copy_stripped(run, v), *end, *to = text;
    if (!text) return false;
    bool name = is_float_name(text);
    for (const char *at = text; *at && !name; at++) {
        if (*at == '_' && at > text && is_digit(at[-1]) && is_digit(at[1])) continue;
        if (!is_digit(*at) && !strchr("+-.eE", *at)) return false; /* strtod knows hexadecimal too */
        *to++ = *at;
    }
    if (!name) *to = 0;
    *out = strtod(text, &end);
    return *text && *end == 0;
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* The decimal number of so many digits behind the point that is nearest to x itself, not to what a product makes of it;
 * a tie goes to the even one. */
static double round_double(double x, int64_t digits) {
    char text[768]; /* 309 digits before the point, 323 behind it */
    if (!isfinite(x) || digits > 323) return x;
    if (digits < -308) return 0 * x;
    if (digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)digits, x);
        return strtod(text, NULL);
    }
    snprintf(text, sizeof text, "%.17e", x);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (x == 0 || exponent + digits < -1) return 0 * x;
    if (exponent + digits == -1) { /* one digit, or none */
        double unit = pow(10, (double)-digits);
        return fabs(x) > unit / 2 ? copysign(unit, x) : 0 * x;
    }
    snprintf(text, sizeof text, "%.*e", exponent + (int)digits, x);
    return strtod(text, NULL);
}

static struct jinja_value round_int(struct jinja_run *run, int64_t x, int64_t digits) {
    if (digits >= 0) return jinja_int(x);
    if (digits < -19) return jinja_int(0);
    __int128 unit = 1;
    for (int64_t i = 0; i < -digits; i++) unit *= 10;
    __int128 quotient = x / unit, rest = x % unit, size = rest < 0 ? -rest : rest;
    if (2 * size > unit || (2 * size == unit && quotient % 2)) quotient += rest < 0 ? -1 : 1;
    __int128 rounded = quotient * unit;
    if (rounded > INT64_MAX || rounded < INT64_MIN) return jinja_fail(run, "a number leaves 64 bits");
    return jinja_int((int64_t)rounded);
}

struct jinja_value jinja_round(struct jinja_run *run, struct jinja_value v, int64_t digits,
                               const struct jinja_string *method) {
    if (!jinja_is_number(v)) return jinja_fail(run, "round wants a number, not a %s", jinja_type_name(v));
    bool common = !method || jinja_string_equals(method, "common");
    bool floors = method && jinja_string_equals(method, "floor");
    if (common) {
        if (v.kind != JINJA_FLOAT) return round_int(run, jinja_as_int(run, v), digits);
        double rounded = round_double(v.real, digits);
        bool left = isfinite(v.real) && !isfinite(rounded);
        return left ? jinja_fail(run, "round: the number is too large") : jinja_float(rounded);
    }
    if (!floors && !jinja_string_equals(method, "ceil"))
        return jinja_fail(run, "round: the method must be common, ceil or floor");
    double unit = pow(10, (double)digits), scaled = jinja_as_double(v) * unit;
    if (!isfinite(scaled) || unit == 0) return jinja_fail(run, "round: the number is too large");
    return jinja_float((floors ? floor(scaled) : ceil(scaled)) / unit);
}
