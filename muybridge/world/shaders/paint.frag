in vec3 rest;
in vec4 extra;
uniform vec3 skin_color;
uniform vec3 lip_color;
uniform vec3 brow_color;
uniform vec3 brow_shape;   // thickness, arch, darkness
uniform vec3 beard_color;
uniform vec4 beard;        // stubble, moustache, chin, full: coverage 0..1
uniform vec3 scalp_color;
uniform float scalp;       // painted hair roots, 0..1
uniform float age;
uniform float freckles;
uniform float masculine;

float brow_mask(vec2 p) {
    // p: x outward from the face's middle, y up, base-mesh dm; the eye's centre is (.31, 7.28)
    float t = (abs(p.x) - 0.105) / 0.42;
    float line = 7.475 + 0.075 * brow_shape.y * (1.0 - (t - 0.62) * (t - 0.62) * 3.2) - 0.03 * smoothstep(0.7, 1.0, t);
    float half_width = brow_shape.x * 0.046 * smoothstep(-0.02, 0.14, t) * (1.0 - 0.72 * smoothstep(0.45, 1.02, t));
    float stroke = noise4(vec2(p.x * 7.0 - p.y * 3.0, p.y * 1.5 + abs(p.x) * 2.5)).x;
    float edge = (abs(p.y - line) - half_width) / 0.022 + (stroke - 0.5) * 0.9;
    return (1.0 - smoothstep(-0.7, 0.8, edge)) * step(-0.02, t) * step(t, 1.04) * smoothstep(0.9, 1.05, rest.z);
}

float beard_mask(vec2 p, float grain) {
    float x = abs(p.x), y = p.y;
    float jaw = smoothstep(6.78 - 0.0, 6.55, y - 0.28 * smoothstep(0.30, 0.62, x)) * smoothstep(5.95, 6.15, y);
    float side = smoothstep(0.46, 0.58, x) * (1.0 - smoothstep(6.75, 7.05, y));
    float full = max(jaw, side * smoothstep(6.0, 6.2, y)) * smoothstep(0.05, 0.35, rest.z);
    float lip = smoothstep(0.38, 0.26, x) * smoothstep(6.655, 6.70, y + 0.25 * x * x) * (1.0 - smoothstep(6.80, 6.84, y + x * 0.25));
    float goatee = smoothstep(0.30, 0.16, x + 0.25 * smoothstep(6.3, 6.05, y)) * (1.0 - smoothstep(6.40, 6.50, y + 0.3 * x * x)) * smoothstep(6.0, 6.2, y) * smoothstep(0.9, 1.2, rest.z);
    float corner = exp(-(x - 0.285) * (x - 0.285) * 700.0) * smoothstep(6.3, 6.45, y) * (1.0 - smoothstep(6.60, 6.74, y)) * smoothstep(0.9, 1.2, rest.z);
    float m = max(max(beard.x * 0.55 * max(full, lip), beard.y * lip), max(beard.z * max(max(goatee, corner), lip), beard.w * max(max(full, lip), corner)));
    return clamp(m * (0.55 + 0.75 * grain), 0.0, 1.0);
}

// The skin's colour is painted once per person into the body's texture atlas; skin.frag only lights it.
void main() {
    vec4 fine = noise4(rest.xy * 2.3 + rest.z * 0.7);
    vec4 broad = noise4(rest.xy * 0.22 + rest.zx * 0.13);
    vec3 albedo = skin_color * (0.90 + 0.12 * fine.x + 0.14 * (broad.x - 0.5));
    // Blood: cheeks, nose, ears and knuckles are redder; eyelids a little darker.
    float front = smoothstep(0.6, 1.1, rest.z) * extra.z;
    vec2 cheek = vec2(abs(rest.x) - 0.42, rest.y - 6.88);
    float flush = exp(-dot(cheek, cheek) * 16.0) * 0.55 + exp(-dot(vec2(rest.x, rest.y - 6.92), vec2(rest.x, rest.y - 6.92)) * 60.0) * 0.5;
    flush = max(flush * front, extra.w * 0.5);
    albedo *= mix(vec3(1.0), vec3(1.10, 0.80, 0.78), flush);
    vec2 socket = vec2((abs(rest.x) - 0.31) / 0.2, (rest.y - 7.26) / 0.13);
    albedo *= 1.0 - front * (0.20 + 0.12 * age) * exp(-dot(socket, socket));
    // Age: lines on the forehead, at the eyes' corners and beside the mouth.
    float wrinkle = smoothstep(0.62, 0.9, sin(rest.y * 58.0 + broad.y * 7.0 + cos(rest.x * 5.0) * 1.3)) * smoothstep(7.62, 7.75, rest.y) * smoothstep(8.1, 7.95, rest.y);
    vec2 crow = vec2(abs(rest.x) - 0.55, rest.y - 7.25);
    wrinkle += smoothstep(0.5, 0.95, sin(atan(crow.y, crow.x) * 9.0)) * exp(-dot(crow, crow) * 150.0);
    float fold = abs(rest.x) - (0.20 + (6.93 - rest.y) * 0.36);
    wrinkle += 1.2 * exp(-fold * fold * 2600.0) * smoothstep(6.5, 6.62, rest.y) * smoothstep(6.96, 6.86, rest.y);
    albedo *= 1.0 - clamp(wrinkle, 0.0, 1.2) * front * 0.22 * smoothstep(0.35, 0.95, age);
    albedo *= 1.0 - freckles * front * 0.45 * smoothstep(0.66, 0.78, noise4(rest.xy * 1.9 + 0.37).y) * exp(-abs(rest.y - 7.0) * 4.0);
    // Hair on skin.
    float brow = brow_mask(vec2(rest.x, rest.y));
    albedo = mix(albedo, brow_color, brow * brow_shape.z);
    float grain = noise4(rest.xy * vec2(9.0, 4.0) + rest.z * 2.0).z;
    float hairy = beard_mask(rest.xy, grain) * (1.0 - extra.x) * step(5.9, rest.y);
    albedo = mix(albedo, beard_color, hairy * 0.9);
    float crown = smoothstep(7.9, 8.25, rest.y - 0.35 * smoothstep(0.9, 0.1, rest.z) + 0.75 * smoothstep(0.55, -0.3, rest.z));
    crown *= 1.0 - extra.w;
    albedo = mix(albedo, scalp_color, scalp * crown * (0.72 + 0.35 * grain));
    // Lips and the inside of the mouth.
    float lips = smoothstep(0.25, 0.75, extra.x);
    float line = noise4(vec2(rest.x * 5.0, rest.y * 0.7)).y;
    albedo = mix(albedo, lip_color * (0.85 + 0.25 * line), lips * 0.86);
    float seam = smoothstep(0.030, 0.0, abs(rest.y - 6.604)) * smoothstep(0.27, 0.2, abs(rest.x)) * step(1.25, rest.z);
    albedo *= 1.0 - 0.35 * seam;
    float inside = smoothstep(0.3, 0.8, extra.y) * step(rest.z, 1.53);
    albedo = mix(albedo, vec3(0.20, 0.035, 0.035), inside);
    float depth = smoothstep(1.50, 0.95, rest.z) * inside;
    albedo *= 1.0 - 0.9 * depth;

    float gloss = (0.055 + 0.05 * fine.y + 0.12 * lips) * (1.0 - inside) * (1.0 - hairy) * (1.0 - min(scalp * crown * 1.1, 1.0)); // no gloss marks painted hair
    out_color = vec4(sqrt(clamp(albedo, 0.0, 1.0)), gloss * 4.0);
    out_mask_a = vec4(0.0);
    out_mask_b = vec4(0.0);
}
