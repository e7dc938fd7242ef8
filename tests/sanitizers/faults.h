/* One fault for each sanitizer of `make sanitize`, which has to find it: `faults address`, `faults
   undefined`, `faults thread`; and `faults none`, where there is nothing to find. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words) {
    int seen = 0, sum = INT_MAX - 100;
    int *numbers = malloc(64 * sizeof *numbers);
    const char *fault = count > 1 ? words[1] : "none";
    const int length = strcmp(fault, "address") ? 64 : 65;
    const int is_race = !strcmp(fault, "thread");
#pragma omp parallel for num_threads(2)
    for (int i = 0; i < length; i++) {
        numbers[i] = i;
        if (is_race) seen += i;
    }
    /* The threads may take other elements here: no race where the first loop has ended. */
#pragma omp parallel for num_threads(2) schedule(static, 1)
    for (int i = 0; i < 64; i++) numbers[i]++;
    sum += strcmp(fault, "undefined") ? numbers[0] : 100 * numbers[1];
    printf("%d\n", sum + seen);
    free(numbers);
    return 0;
}
