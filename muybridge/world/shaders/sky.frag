in vec2 place;
uniform mat4 inverse_view;
uniform vec3 zenith;
uniform vec3 horizon;
uniform vec3 sun_tint;
uniform vec3 sun_dir;
uniform float clouds;
uniform float stars;
uniform float time;
void main() {
    vec4 far = inverse_view * vec4(place, 1.0, 1.0);
    vec3 d = normalize(far.xyz / far.w - eye_pos);
    float up = max(d.y, 0.0);
    vec3 c = mix(horizon, zenith, pow(up, 0.55));
    float s = max(dot(d, sun_dir), 0.0);
    c += sun_tint * (pow(s, 900.0) * 6.0 + pow(s, 24.0) * 0.22 + pow(s, 5.0) * 0.10);
    vec2 at = d.xz / (d.y + 0.18) * 0.16 + vec2(time * 0.0016, 0.0);
    float cover = noise4(at).x * 0.6 + noise4(at * 2.7 + 0.3).y * 0.4;
    float cloud = smoothstep(0.72 - 0.55 * clouds, 0.98 - 0.35 * clouds, cover) * smoothstep(0.0, 0.12, d.y) * min(1.0, clouds * 3.0);
    c = mix(c, mix(horizon * 1.15 + sun_tint * 0.10, vec3(dot(horizon, vec3(0.333))) * 0.8, smoothstep(0.5, 1.0, clouds) * 0.7), cloud * 0.9);
    vec3 cell = floor(d * 130.0);
    float twinkle = fract(sin(dot(cell, vec3(12.9898, 78.233, 37.719))) * 43758.5453);
    c += stars * step(0.992, twinkle) * vec3(0.8) * smoothstep(0.02, 0.2, d.y) * (1.0 - cloud);
    out_color = vec4(finish(c), 1.0);
    out_mask_a = vec4(0.0);
    out_mask_b = vec4(0.0);
}
