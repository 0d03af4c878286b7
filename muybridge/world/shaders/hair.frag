in vec3 world;
in vec3 normal;
in vec3 tangent;
in vec4 strand;
uniform vec3 hair_color;
uniform float curl;      // 0 straight .. 1 tight curls
uniform float density;   // strands per turn
uniform float is_knit;   // 1: a knitted or felt hat instead of strands
uniform vec4 is_second;
void main() {
    vec3 v = normalize(eye_pos - world);
    vec3 n = normalize(normal);
    if (dot(n, v) < 0.0) n = -n;
    float wobble = (noise4(vec2(strand.x * 2.0, strand.y * 1.1)).x - 0.5) * (0.018 + 0.10 * curl);
    vec2 at = vec2((strand.x + wobble) * density, strand.y * (0.55 + 5.0 * curl) + strand.z * 0.37);
    vec4 fine = noise4(at * vec2(1.0, 0.25));
    vec4 lock = noise4(at * vec2(0.28, 0.11) + 0.31);
    float body = 0.55 * fine.x + 0.45 * lock.x;
    if (is_knit < 0.5) {
        // Coverage falls with the shell and towards the tips and the hairline, so that outlines break into strands.
        float need = 0.18 + 0.42 * strand.z + 0.62 * strand.w * strand.w;
        if (body < need - 0.16) discard;
    }
    vec3 t = normalize(tangent + 0.35 * curl * (vec3(fine.y, fine.z, fine.w) - 0.5));
    vec3 albedo = hair_color * (0.30 + 0.45 * fine.y + 0.35 * lock.z);
    albedo *= 0.62 + 0.38 * strand.z + 0.25 * smoothstep(0.0, 0.3, strand.y);
    vec3 h = normalize(key_dir + v);
    float th = dot(t, h);
    // Kajiya and Kay 1989: diffuse from the sine to the strand, two highlights, the second tinted.
    float tl = dot(t, key_dir);
    float diffuse = 0.45 * sqrt(max(1.0 - tl * tl, 0.0)) + 0.55 * clamp((dot(n, key_dir) + 0.3) / 1.3, 0.0, 1.0);
    float lit = 0.25 + 0.75 * shadow_at(world, n);
    float shift = (fine.z - 0.5) * 0.28;
    float s1 = pow(sqrt(max(1.0 - (th + shift) * (th + shift), 0.0)), 90.0);
    float s2 = pow(sqrt(max(1.0 - (th - 0.25 + shift) * (th - 0.25 + shift), 0.0)), 28.0);
    float up = smoothstep(-0.2, 0.5, dot(n, key_dir));
    vec3 color;
    if (is_knit > 0.5) {
        float rib = 0.5 + 0.5 * sin(strand.x * 6.2832 * 46.0);
        vec3 wool = hair_color * (is_knit > 1.5 ? 0.9 + 0.15 * fine.x : (0.68 + 0.32 * rib) * (0.9 + 0.2 * sin(strand.y * 160.0)));
        color = wool * (ambient(n) + key_color * clamp((dot(n, key_dir) + 0.2) / 1.2, 0.0, 1.0) * lit + lamp(world, n));
        float frame = step(2.5, is_knit);
        color += frame * key_color * 0.5 * pow(max(dot(n, h), 0.0), 30.0);
        out_mask_a = vec4(1.0, frame, 0.0, 0.0);
        out_mask_b = vec4(1.0 - frame, is_second.x, 0.0, 0.0);
    } else {
        color = albedo * (ambient(n) * 0.9 + key_color * diffuse * lit + lamp(world, n));
        color += key_color * lit * up * (0.10 * s1 * vec3(1.0) + 0.55 * s2 * albedo) * (0.4 + 0.8 * fine.w) * (1.0 - 0.6 * curl);
        out_mask_a = vec4(1.0, 0.0, 0.0, 1.0);
        out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
    }
    color += rim_color * pow(1.0 - max(dot(n, v), 0.0), 3.0) * 0.45;
    out_color = vec4(finish(fogged(color, world)), 1.0);
}
