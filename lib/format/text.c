/* SPDX-License-Identifier: MIT */
/*
 * Lines of small text files.  Editors on Windows add byte-order marks and carriage returns, which
 * darknet users meet as "cannot load image"; here they are gone before anyone looks.
 */
#include "format/text.h"

#include <string.h>

#include "base/error.h"
#include "base/io.h"

int qd_text_load(struct qd_text *t, const char *path, size_t max, struct qd_error *err)
{
    *t = (struct qd_text){.name = strcmp(path, "-") ? path : "<stdin>"};
    qd_buf_add(&t->file, "", 0); /* an empty file has text, too */
    if (qd_io_slurp(path, max, &t->file, err) < 0 || qd_buf_ok(&t->file, err) < 0) {
        qd_buf_free(&t->file);
        return -1;
    }
    t->next = t->file.data;
    t->end = t->file.data + t->file.len;
    if (t->file.len >= 3 && memcmp(t->next, "\xef\xbb\xbf", 3) == 0)
        t->next += 3;
    return 0;
}

int qd_text_next(struct qd_text *t, char **line, struct qd_error *err)
{
    if (t->next == t->end)
        return 0;
    char *s = t->next, *nl = memchr(s, '\n', (size_t)(t->end - s));
    char *stop = nl ? nl : t->end;
    t->next = nl ? nl + 1 : t->end;
    t->line++;
    if (memchr(s, 0, (size_t)(stop - s)))
        return qd_error_at(
            err, QD_EFORMAT, t->name, t->line, "a zero byte: this is not a text file");
    if (stop > s && stop[-1] == '\r')
        stop--;
    *stop = 0; /* the buffer has a zero byte behind its end */
    *line = s;
    return 1;
}

void qd_text_close(struct qd_text *t)
{
    qd_buf_free(&t->file);
    *t = (struct qd_text){0};
}

char *qd_text_trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        n--;
    s[n] = 0;
    return s;
}
