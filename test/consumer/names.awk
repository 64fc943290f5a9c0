# awk -f names.awk HEADER...: the names that public headers declare, one a line: those of namespace
# rung and of its inner namespaces, but detail, and the public members of their classes. It relies
# on the layout that clang-format gives.

FNR == 1 { hidden = 0; in_class = 0 }
/^namespace (.*detail|boost|std)/ { hidden = 1 }
/^}  \/\/ namespace (.*detail|boost|std)/ { hidden = 0; next }
hidden || /^ *\/\// || /^#/ || /^(class|struct) [a-z]+::/ { next }

# A name as it is declared: the last word before a parenthesis, a brace, `=`, `;` or a comma.
function say(line) {
    sub(/ *\/\/.*/, "", line)
    if (line ~ /operator|~|^ *(return|if|for|static_assert|requires|friend|throw|case|else|template)/) {
        return
    }
    gsub(/\[\[[^]]*\]\] */, "", line)
    if (line !~ /[({=;,]/) {
        return
    }
    sub(/( : | *[({=;,]).*/, "", line)
    if (match(line, /[ *&][A-Za-z_][A-Za-z_0-9]*$/)) { # A definition elsewhere is `class::name`.
        print substr(line, RSTART + 1, RLENGTH - 1)
    }
}

/^(template .*)?(class|struct|enum class|enum) [a-z]/ {
    line = $0
    is_struct = line ~ /^(template .*)?(struct|enum)/
    sub(/^(template .*)?(class|struct|enum class|enum) /, "", line)
    match(line, /^[a-z_0-9]+/)
    if (substr(line, RLENGTH + 1, 1) != ":" || substr(line, RLENGTH + 2, 1) == " ") {
        print substr(line, 1, RLENGTH)
    }
    if ($0 ~ /{$/) { in_class = 1; is_public = is_struct }
    next
}
/^};/ { in_class = 0; next }
in_class && /^public:/ { is_public = 1; next }
in_class && /^(private|protected):/ { is_public = 0; next }
in_class && is_public && /^    [a-z[]/ { say($0) }
!in_class && /^[a-z]/ && !/^(template|namespace|requires|extern|concept)/ { say($0) }
