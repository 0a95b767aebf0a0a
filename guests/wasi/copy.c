// Copies a file.

#include <stdio.h>

int main(int argc, char **argv) {
    FILE *from = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *to = from ? fopen(argv[2], "wb") : NULL;
    if (!to)
        return 1;
    char buffer[10000];
    size_t length;
    while ((length = fread(buffer, 1, sizeof buffer, from)))
        if (fwrite(buffer, 1, length, to) != length)
            return 1;
    return ferror(from) || fclose(to);
}
