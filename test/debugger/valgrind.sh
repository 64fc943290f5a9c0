#!/bin/sh
# sh valgrind.sh PROGRAM: whether valgrind follows the program from stack to stack without a
# complaint. Exit code 77: not to be found out here.
set -u
command -v valgrind >/dev/null || { echo 'SKIP: valgrind is not installed'; exit 77; }
if ! said=$(valgrind --error-exitcode=3 --leak-check=full "$1" 2>&1); then
    case $said in
        *nimplemented*io_uring* | *nhandled*instruction*)
            echo "SKIP: this valgrind does not know io_uring"; exit 77 ;;
        *'debuginfo reader'*)
            echo "SKIP: this valgrind cannot read this compiler's debugging information"; exit 77 ;;
    esac
    echo "$said"
    exit 1
fi
case $said in
    *'client switching stacks'*) echo "$said"; echo 'FAILED: it was not told of a stack'; exit 1 ;;
esac
