/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What json-c takes two calls for. */
#ifndef BALLAST_JSON_ADD_H
#define BALLAST_JSON_ADD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

void json_add_text(struct json_object *to, const char *name, const char *text);
void json_add_number(struct json_object *to, const char *name, uint64_t number);
void json_add_bool(struct json_object *to, const char *name, bool value);

/* To stdout, in lines for people. */
void json_print(struct json_object *json);

#endif
