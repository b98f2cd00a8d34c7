// What follows on a pack's first convolution: batch norm, relu and the maximum of windows. Follows on `norm.cu`.


#define SIDE 14
#define POOLED 7

// The largest of a 3x3 window with stride 2 and padding 1, and where it is: the first in rows, as libtorch has it.
__device__ float largest(const float *map, int pixel, int image, int images, unsigned char *where) {
    int y0 = pixel / POOLED * 2 - 1, x0 = pixel % POOLED * 2 - 1;
    float best = -__int_as_float(0x7f800000);
    int place = -1;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int y = y0 + i, x = x0 + j;
            if (y >= 0 && y < SIDE && x >= 0 && x < SIDE) {
                float value = map[(y * SIDE + x) * images + image];
                if (value > best || value != value || place < 0) {
                    best = value;
                    place = y * SIDE + x;
                }
            }
        }
    *where = (unsigned char)place;
    return best;
}

// Batch norm, relu and the 3x3 maximum of the first layer's maps: [K, 64, 14 14, N] to [K, 64, 7 7, N], and where each came from.
extern "C" __global__ void stem_train(const float *x, const float *weight, const float *bias, long row, float *y, unsigned char *from,
                                      float *means, float *scales, float *running_mean, float *running_var, int images) {
    const int count = SIDE * SIDE * images;
    float2 stats = moments(x + (long)blockIdx.x * count, memory, count);
    float scale = 1.f / sqrtf(stats.y + EPS);
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float w = weight[place] * scale, b = bias[place] - stats.x * w;
    if (threadIdx.x == 0) {
        means[blockIdx.x] = stats.x;
        scales[blockIdx.x] = scale;
        follow(running_mean, running_var, blockIdx.x, stats.x, stats.y, count);
    }
    for (int at = threadIdx.x; at < count; at += blockDim.x)
        memory[at] = cut(memory[at] * w + b);
    __syncthreads();
    long start = (long)blockIdx.x * POOLED * POOLED * images;
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x)
        y[start + at] = largest(memory, at / images, at % images, images, from + start + at);
}

extern "C" __global__ void stem_evaluate(const float *x, const float *weight, const float *bias, long row, float *y,
                                         const float *running_mean, const float *running_var, int images) {
    const float *maps = x + (long)blockIdx.x * SIDE * SIDE * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64, start = (long)blockIdx.x * POOLED * POOLED * images;
    float w = weight[place] / sqrtf(running_var[blockIdx.x] + EPS), b = bias[place] - running_mean[blockIdx.x] * w;
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x) {
        int y0 = at / images / POOLED * 2 - 1, x0 = at / images % POOLED * 2 - 1, image = at % images;
        float best = 0.f; // relu's least
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                if (y0 + i >= 0 && y0 + i < SIDE && x0 + j >= 0 && x0 + j < SIDE) {
                    float value = maps[((y0 + i) * SIDE + x0 + j) * images + image] * w + b;
                    best = value <= best ? best : value;
                }
        y[start + at] = best;
    }
}

// What reaches a pixel of the stem's maps from the windows that took it; `y` is what they took: relu lets through what is above 0.
__device__ float from_windows(const float *slopes, const float *y, const unsigned char *from, int pixel, int image, int images) {
    int row = pixel / SIDE, column = pixel % SIDE;
    float sum = 0.f;
    for (int i = row / 2; i <= (row + 1) / 2 && i < POOLED; i++)
        for (int j = column / 2; j <= (column + 1) / 2 && j < POOLED; j++) {
            int at = (i * POOLED + j) * images + image;
            if (from[at] == pixel && passes(y[at]))
                sum += slopes[at];
        }
    return sum;
}

// The gradients of stem_train.
extern "C" __global__ void stem_back(const float *slopes, const float *y, const unsigned char *from, const float *x, const float *means,
                                     const float *scales, const float *weight, long row, float *dx, float *dweight, float *dbias,
                                     int images) {
    const int count = SIDE * SIDE * images;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float g = from_windows(slopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        memory[at] = g;
        sum += g;
        product += g * ((x[start + at] - mean) * scale);
    }
    sum = sum_of_block(sum);
    product = sum_of_block(product);
    if (threadIdx.x == 0) {
        dweight[place] = product;
        dbias[place] = sum;
    }
    float w = weight[place] * scale, a = sum / count, b = product / count;
    for (int at = threadIdx.x; at < count; at += blockDim.x)
        dx[start + at] = w * (memory[at] - a - (x[start + at] - mean) * scale * b);
}

// The derivative of stem_train, as norm_tangent's.
extern "C" __global__ void stem_tangent(const float *x, const float *dx, const float *y, const unsigned char *from, const float *means,
                                        const float *scales, const float *weight, long row, const float *sign_weight,
                                        const float *sign_bias, float *dy, float *dmeans, float *products, int images) {
    const int count = SIDE * SIDE * images, channel = blockIdx.x % 64;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float d = dx[start + at];
        sum += d;
        product += (x[start + at] - mean) * scale * d;
    }
    sum = sum_of_block(sum) / count;
    product = sum_of_block(product) / count;
    if (threadIdx.x == 0) {
        dmeans[blockIdx.x] = sum;
        products[blockIdx.x] = product;
    }
    float w = weight[blockIdx.x / 64 * row + channel] * scale, dw = sign_weight[channel], db = sign_bias[channel];
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x) {
        long taken = start + from[pooled + at] * images + at % images;
        float h = (x[taken] - mean) * scale;
        dy[pooled + at] = passes(y[pooled + at]) ? dw * h + w * (dx[taken] - sum - h * product) + db : 0.f;
    }
}

// The derivative of stem_back, as norm_back_tangent's.
extern "C" __global__ void stem_back_tangent(const float *slopes, const float *dslopes, const float *y, const unsigned char *from,
                                             const float *x, const float *dx, const float *means, const float *scales,
                                             const float *dmeans, const float *products, const float *weight, long row,
                                             const float *sign_weight, float *ddx, float *dweight, float *dbias, int images) {
    const int count = SIDE * SIDE * images;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], dmean = dmeans[blockIdx.x], product = products[blockIdx.x];
    float4 m = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        float g = from_windows(slopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        float dg = from_windows(dslopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        memory[at] = g;
        ddx[start + at] = dg; // Waits there.
        m.x += g;
        m.y += g * h;
        m.z += dg;
        m.w += dg * h + g * dh;
    }
    m = make_float4(sum_of_block(m.x), sum_of_block(m.y), sum_of_block(m.z), sum_of_block(m.w));
    if (threadIdx.x == 0) {
        dweight[place] = m.w;
        dbias[place] = m.z;
    }
    m = make_float4(m.x / count, m.y / count, m.z / count, m.w / count);
    float w = weight[place] * scale, dw = sign_weight[blockIdx.x % 64] * scale - w * scale * product;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        ddx[start + at] = back_tangent({h, dh, memory[at], ddx[start + at]}, m, w, dw);
    }
}
