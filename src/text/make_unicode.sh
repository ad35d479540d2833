#!/bin/sh
# make_unicode.sh - writes unicode_tables.c from the Unicode Character Database.
#   src/text/make_unicode.sh [FOLDER] > src/text/unicode_tables.c     FOLDER: Debian's unicode-data by default
# Characters that normal forms have changed or moved only since Unicode 9 have a bit of their own.
# The bits of Unicode 8 are those of characters that are no younger (DerivedAge.txt), but for the few whose category was
# changed since.
# Bits of classes for every codepoint, in two stages: a block number for each 256 codepoints, and the distinct blocks.
set -eu
folder=${1:-/usr/share/unicode}
version=$(sed -n 's/^# PropList-\(.*\)\.txt$/\1/p' "$folder/PropList.txt")

# Lines "FIRST LAST BIT" in decimal are made first, so that one program fills the table.
awk -F ';' '
function hex(text,    i, value) {
    value = 0
    for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
    return value
}
function put(field, bit,    range) {
    split(field, range, /[. ]+/)
    print hex(range[1]), hex(range[2] == "" ? range[1] : range[2]), bit
}
BEGIN {
    bit["Lu"] = 1; bit["Ll"] = 2; bit["Lt"] = 4; bit["Lm"] = 8; bit["Lo"] = 16
    bit["Mn"] = bit["Mc"] = bit["Me"] = 32
    bit["Nd"] = bit["Nl"] = bit["No"] = 64
    bit["Pc"] = bit["Pd"] = bit["Ps"] = bit["Pe"] = bit["Pi"] = bit["Pf"] = bit["Po"] = 256
    bit["Sm"] = bit["Sc"] = bit["Sk"] = bit["So"] = 512
    old["Pc"] = old["Pd"] = old["Ps"] = old["Pe"] = old["Pi"] = old["Pf"] = old["Po"] = 4096
    old["Mn"] = 8192
    old["Cc"] = old["Cf"] = old["Co"] = 16384
    changed["166D"] = changed["111C9"] = "Po"
    changed["1734"] = "Mn"
    changed["A9BD"] = "Mc"
    changed["1885"] = changed["1886"] = "Lo"
}
FILENAME ~ /UnicodeData/ {
    code = hex($1)
    if ($2 ~ /, First>$/) { first = code; next }
    if ($2 !~ /, Last>$/) first = code
    if ($3 in bit) print first, code, bit[$3]
    category = $1 in changed ? changed[$1] : $3
    if (category in old) print first, code, old[category]
    if ($4 != 0) print first, code, 1024
    if ($4 != 0 || ($6 != "" && $2 !~ /First>$/)) print first, code, 32768
    if ($3 ~ /^(Mn|Mc|Me|Nd|Pc)$/) print first, code, 2048
    next
}
FILENAME ~ /DerivedAge/ {
    if ($2 + 0 > 8) put($1, "young")
    if ($2 + 0 > 9) put($1, "younger")
    next
}
/; White_Space/ { put($1, 128) }
/; NFC_QC; [NM]/ { put($1, 1024); put($1, 32768) }
/; (Alphabetic|Join_Control) / { put($1, 2048) }
' "$folder/UnicodeData.txt" "$folder/PropList.txt" "$folder/DerivedNormalizationProps.txt" \
    "$folder/DerivedCoreProperties.txt" "$folder/DerivedAge.txt" |
awk -v version="$version" '
$3 == "young" {
    for (code = $1; code <= $2; code++) class[code] = class[code] % 4096 + (class[code] >= 32768) * 32768
    next
}
$3 == "younger" {
    for (code = $1; code <= $2; code++) after_9[code] = 1
    next
}
{ for (code = $1; code <= $2; code++) if (int(class[code] / $3) % 2 == 0) class[code] += $3 }
END {
    for (code in class) if (class[code] >= 32768 && !(code in after_9)) class[code] -= 32768
    n_blocks = 0
    for (page = 0; page < 4352; page++) {
        text = ""
        for (i = 0; i < 256; i++)
            text = text (i % 32 ? "," : i ? ",\n     " : "") (class[page * 256 + i] + 0)
        if (!(text in block)) {
            block[text] = n_blocks
            blocks[n_blocks++] = text
        }
        stage1[page] = block[text]
    }
    if (n_blocks > 256) { print "more than 256 distinct blocks" > "/dev/stderr"; exit 1 }
    print "/* unicode_tables.c - character classes of Unicode " version ". Written by make_unicode.sh; do not edit. */"
    print "#include \"text/unicode.h\"\n"
    print "// clang-format off"
    print "const uint8_t unicode_block_of_page[4352] = {"
    for (page = 0; page < 4352; page++)
        printf "%s%d,%s", page % 32 ? "" : "    ", stage1[page], page % 32 == 31 ? "\n" : ""
    print "};\n"
    print "const uint16_t unicode_block_classes[" n_blocks "][256] = {"
    for (i = 0; i < n_blocks; i++) print "    {" blocks[i] "},"
    print "};"
    print "// clang-format on"
}'
