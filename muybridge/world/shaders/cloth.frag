in vec3 world;
in vec3 normal;
in vec3 rest;
in vec4 extra;
uniform vec3 color_a;
uniform vec3 color_b;
uniform vec3 inner_color;
uniform vec3 tie_color;
uniform vec3 trouser_color;
uniform float pattern;     // 0 plain, 1 striped, 2 checked, 3 dotted
uniform vec4 neckline;     // lowest y in front, half width, exponent, y at the back
uniform float sleeve;      // end of the sleeve along the arm, dm
uniform vec4 front;        // opening half width at the collar, y where it closes, buttons, tie
uniform float knit;        // 0 smooth .. 1 coarse
uniform float rib;         // ribbed hem, cuffs and collar
uniform float strap;       // tank top: bare shoulders
uniform vec4 is_second;

float fabric(vec2 p) {
    p *= 1.5;
    if (pattern < 0.5) return 0.0;
    if (pattern < 1.5) return smoothstep(0.44, 0.56, abs(fract(p.y * 1.9) * 2.0 - 1.0));
    if (pattern < 2.5) {
        float a = smoothstep(0.4, 0.5, abs(fract(p.x * 1.5) * 2.0 - 1.0)), b = smoothstep(0.4, 0.5, abs(fract(p.y * 1.5) * 2.0 - 1.0));
        return 0.5 * (a + b);
    }
    vec2 cell = fract(p * 2.3 + vec2(0.0, 0.5 * mod(floor(p.x * 2.3), 2.0))) - 0.5;
    return 1.0 - smoothstep(0.2, 0.28, length(cell));
}

void main() {
    float x = abs(rest.x), y = rest.y;
    float along = (x - 1.68) * 0.64 + (5.25 - y) * 0.77;
    float arm = step(1.85, x) * step(1.0, y);
    if (arm > 0.5 && along > sleeve) discard;
    float facing = smoothstep(-0.25, 0.55, rest.z);
    float edge = mix(neckline.w, neckline.x, facing) + pow(min(x / neckline.y, 3.0), neckline.z) * max(5.75 - neckline.x, 0.0) * facing;
    if (y > edge) discard;
    if (strap > 0.5 && (x > 1.18 - 0.25 * smoothstep(4.0, 5.0, y) && y > 3.9)) discard;
    vec3 n = normalize(gl_FrontFacing ? normal : -normal);
    vec4 weave = noise4(rest.xy * 3.1 + rest.z);
    vec4 broad = noise4(vec2(rest.x * 0.16 + rest.z * 0.1, rest.y * 0.10));
    // Folds: low noise tilts the normal; arms fold across, the trunk hangs down.
    vec2 fold_at = arm > 0.5 ? vec2(along * 0.30, (x + y) * 0.07) : vec2(rest.x * 0.22 + rest.y * 0.08, rest.y * 0.13);
    vec4 fold = noise4(fold_at);
    n = normalize(n + vec3(fold.x - 0.5, fold.y - 0.5, 0.0) * (0.75 - 0.35 * knit));
    vec2 cloth_at = arm > 0.5 ? vec2(rest.z, along * 0.9) : vec2(rest.x, y);
    vec3 albedo = mix(color_a, color_b, fabric(cloth_at));
    float ribs = 0.5 + 0.5 * sin((arm > 0.5 ? rest.z + rest.y : rest.x) * 42.0);
    float at_edge = max(smoothstep(0.20, 0.16, edge - y) * step(0.01, rib), arm * smoothstep(0.3, 0.26, sleeve - along));
    albedo *= 1.0 - rib * at_edge * 0.35 * ribs - 0.12 * at_edge;
    float stitch = sin(y * 38.0) * sin((rest.x + rest.z) * 26.0);
    albedo *= 1.0 + knit * 0.16 * stitch;
    albedo *= 0.88 + 0.16 * weave.x + 0.12 * (broad.z - 0.5);
    // Open fronts: lapels, a shirt and a tie below.
    if (front.x > 0.0 && rest.z > 0.0 && arm < 0.5) {
        float t = clamp((y - front.y) / (5.6 - front.y), 0.0, 1.0);
        float opening = front.x * t;
        float lapel = opening + 0.34 * smoothstep(0.0, 0.35, t);
        if (x < opening) {
            albedo = inner_color * (0.92 + 0.1 * weave.y);
            float knot = 0.10 + 0.05 * smoothstep(4.9, 3.2, y);
            if (front.w > 0.5 && x < knot && y < 5.28) albedo = tie_color * (0.8 + 0.35 * step(0.5, fract((rest.x + y) * 3.2)));
            albedo *= 0.72 + 0.28 * smoothstep(0.0, 0.18, opening - x);
        } else if (x < lapel) {
            albedo = color_a * 0.80;
            n = normalize(n + vec3(sign(rest.x) * 0.25, 0.1, 0.1));
        }
        albedo *= 1.0 - 0.45 * smoothstep(0.035, 0.0, abs(x - lapel)) * step(0.02, t);
        if (t <= 0.0) albedo *= 1.0 - 0.5 * smoothstep(0.03, 0.0, abs(rest.x - 0.04));
    }
    if (front.z > 0.5 && rest.z > 0.0) {
        albedo *= 1.0 - 0.28 * smoothstep(0.02, 0.0, abs(rest.x - 0.14)) - 0.1 * smoothstep(0.14, 0.12, abs(rest.x));
        vec2 button = vec2(rest.x, (fract(y * 1.15) - 0.5) / 1.15);
        float on = (1.0 - smoothstep(0.045, 0.06, length(button))) * step(front.z > 1.5 ? 0.0 : -9.0, front.y - y + 9.0 * step(front.z, 1.5));
        albedo = mix(albedo, vec3(0.55) * (1.0 - color_a), on * 0.8);
    }
    if (y < 0.35) albedo = trouser_color * (0.85 + 0.2 * weave.x) * (1.0 - 0.6 * smoothstep(0.06, 0.0, 0.35 - y));
    if (y < -7.35) albedo = vec3(0.03, 0.027, 0.025);
    float lit = 0.2 + 0.8 * shadow_at(world, n);
    vec3 v = normalize(eye_pos - world);
    float pit = 1.0 - 0.35 * smoothstep(1.9, 1.5, x) * step(1.4, x) * smoothstep(4.9, 4.2, y) * smoothstep(2.5, 3.6, y);
    float below_head = 1.0 - 0.30 * smoothstep(5.2, 5.9, y) * (1.0 - smoothstep(0.7, 1.4, x));
    float wrap = clamp((dot(n, key_dir) + 0.15) / 1.15, 0.0, 1.0) * lit;
    float fuzz = pow(1.0 - max(dot(n, v), 0.0), 3.0);
    vec3 color = albedo * (ambient(n) * pit * below_head + key_color * wrap + lamp(world, n));
    color += fuzz * (rim_color * 0.7 + albedo * sky_color * 0.3 * knit);
    out_color = vec4(finish(fogged(color, world)), 1.0);
    out_mask_a = vec4(1.0, 0.0, 0.0, 0.0);
    out_mask_b = vec4(1.0, is_second.x, 0.0, 0.0);
}
