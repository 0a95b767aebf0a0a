// Tells what it was given: arguments, environment, standard input, and the file that its argument names.

#include <stdio.h>
#include <unistd.h>

extern char **environ;

static int tell(const char *what, FILE *file) {
    char line[4096];
    while (fgets(line, sizeof line, file))
        printf("%s %s", what, line);
    return ferror(file);
}

int main(int argc, char **argv) {
    for (int n = 0; n < argc; n++)
        printf("argument %s\n", argv[n]);
    for (char **variable = environ; variable && *variable; variable++)
        printf("variable %s\n", *variable);
    if (tell("input", stdin))
        return 1;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (argc == 2 && (!file || tell("file", file)))
        return 1;
    return 0;
}
