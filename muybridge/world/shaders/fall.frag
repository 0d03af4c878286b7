in vec2 place;
in vec3 world;
uniform vec3 drop_color;
uniform float round_drop;
uniform float alpha;
void main() {
    if (round_drop > 0.5 && dot(place, place) > 1.0) discard;
    vec3 c = finish(drop_color * (sky_color + key_color * 0.3));
    out_color = vec4(c, alpha);
    out_mask_a = vec4(0.0);
    out_mask_b = vec4(0.0, 0.0, 0.0, 0.0);
}
