// Reading and summing rows of a table. Item (d, row).

__kernel void embedding_gather(INPUT(float, table), INPUT(int, rows), OUTPUT(float, y), const int N, const int D) {
    BIND(table);
    BIND(rows);
    BIND(y);
    const int d = get_global_id(0), n = get_global_id(1);
    if (d >= D || n >= N) return;
    y[(size_t)n * D + d] = table[(size_t)rows[n] * D + d];
}

// sums[u] = the values order[segments[u]] ..< order[segments[u + 1]], one after the other.
__kernel void embedding_segment_sums(INPUT(float, values), INPUT(int, order), INPUT(int, segments),
                                     OUTPUT(float, sums), const int U, const int D) {
    BIND(values);
    BIND(order);
    BIND(segments);
    BIND(sums);
    const int d = get_global_id(0), u = get_global_id(1);
    if (d >= D || u >= U) return;
    float sum = 0.0f;
    for (int s = segments[u]; s < segments[u + 1]; s++) sum += values[(size_t)order[s] * D + d];
    sums[(size_t)u * D + d] = sum;
}

// table[rows[u]] += values[u]; rows are distinct, so no two items meet.
__kernel void embedding_scatter_add(INPUT(float, values), INPUT(int, rows), OUTPUT(float, table), const int U,
                                    const int D) {
    BIND(values);
    BIND(rows);
    BIND(table);
    const int d = get_global_id(0), u = get_global_id(1);
    if (d >= D || u >= U) return;
    table[(size_t)rows[u] * D + d] += values[(size_t)u * D + d];
}
