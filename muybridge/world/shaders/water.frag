in vec3 world;
in vec3 normal;
in vec2 uv;
in vec3 color;
in vec2 kind;
uniform vec3 zenith;
uniform vec3 horizon;
uniform float time;
uniform float shore_z;   // where the water ends now
uniform float surf;      // 1: breakers and foam, 0: a calm lake
uniform vec4 id_b;
void main() {
    vec3 v = normalize(eye_pos - world);
    float far = length(world - eye_pos);
    float calm = 1.0 / (1.0 + far * 0.004);
    vec2 p = world.xz * 0.012;
    vec4 a = noise4(p + vec2(time * 0.016, time * 0.021));
    vec4 b = noise4(p * 2.6 - vec2(time * 0.030, -time * 0.024));
    vec3 n = normalize(vec3((a.x + b.x - 1.0) * 0.34 * calm, 1.0, (a.y + b.y - 1.0) * 0.34 * calm));
    float out_at = shore_z - world.z;   // distance from the edge, out to sea
    float swell = sin(out_at * 0.10 + time * 1.9 + (a.z - 0.5) * 3.0);
    n = normalize(n + vec3(0.0, 0.0, surf * 0.22 * swell * exp(-out_at * 0.008)));
    vec3 r = reflect(-v, n);
    vec3 sky = mix(horizon, zenith, pow(max(r.y, 0.0), 0.55));
    float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(n, v), 0.0), 5.0);
    vec3 deep = color * (ambient(n) + key_color * max(dot(n, key_dir), 0.0) * 0.8);
    vec3 shallow = vec3(0.16, 0.40, 0.38) * (ambient(n) + key_color * 0.4);
    vec3 c = mix(mix(deep, shallow, surf * exp(-out_at * 0.05)), sky, fresnel);
    vec3 h = normalize(key_dir + v);
    c += key_color * pow(max(dot(n, h), 0.0), 160.0) * 1.6;
    float lace = noise4(world.xz * 0.05 + vec2(0.0, time * 0.03)).x;
    float edge = exp(-max(out_at, 0.0) * 0.16) + 0.9 * smoothstep(0.80, 0.99, swell) * exp(-out_at * 0.016);
    float foam = surf * smoothstep(0.40, 0.62, lace * 0.55 + edge * 0.62);
    c = mix(c, vec3(0.86, 0.88, 0.90) * (ambient(n) + key_color * 0.55), foam);
    out_color = vec4(finish(fogged(c, world)), 1.0);
    out_mask_a = vec4(0.0);
    out_mask_b = id_b;
}
