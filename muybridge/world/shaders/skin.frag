in vec3 world;
in vec3 normal;
in vec3 rest;
in vec4 extra;
in vec2 uv;
uniform sampler2D skin_map;   // square root of albedo, gloss * 4
uniform vec4 is_second;
void main() {
    vec3 n = normalize(normal);
    vec3 v = normalize(eye_pos - world);
    vec4 paint = texture(skin_map, uv);
    vec3 albedo = paint.rgb * paint.rgb;
    float lips = smoothstep(0.25, 0.75, extra.x);
    float inside = smoothstep(0.3, 0.8, extra.y) * step(rest.z, 1.53);
    float shadow = 0.25 + 0.75 * shadow_at(world, n);
    float nl = dot(n, key_dir);
    // Light reaches further round in red, as through skin.
    vec3 wrap = clamp((nl + vec3(0.38, 0.16, 0.10)) / vec3(1.38, 1.16, 1.10), 0.0, 1.0) * shadow;
    float chin = smoothstep(6.35, 5.85, rest.y) * smoothstep(-0.3, 0.7, rest.z) * step(5.2, rest.y);
    float occlusion = 1.0 - 0.45 * chin - 0.85 * inside;
    float nv = max(dot(n, v), 0.0);
    float nh = max(dot(n, normalize(key_dir + v)), 0.0);
    float shine = nh * nh;
    shine *= shine; shine *= shine; shine *= shine; shine *= shine; // 32nd power
    float rim = (1.0 - nv) * (1.0 - nv) * (1.0 - nv);
    vec3 color = albedo * ((ambient(n) + lamp(world, n)) * occlusion + key_color * wrap * (1.0 - 0.7 * inside));
    color += key_color * shine * paint.a * 0.25 * shadow + rim_color * rim * (0.5 + 0.5 * max(-n.z, 0.0)) * occlusion;
    out_color = vec4(finish(fogged(color, world)), 1.0);
    float head = step(5.95, rest.y);
    float roots = (1.0 - smoothstep(0.04, 0.20, paint.a)) * step(7.0, rest.y); // hair painted on the scalp
    float face = head * step(0.05, rest.z) * (1.0 - step(8.12, rest.y)) * (1.0 - roots);
    out_mask_a = vec4(1.0, face, max(lips, inside) * step(1.0, rest.z), roots);
    out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
}
