// Light, tone and truth shared by every fragment shader. Colours are linear; `finish` makes display values.
uniform vec3 key_dir;      // towards the light, unit
uniform vec3 key_color;    // linear, strength included
uniform vec3 sky_color;    // ambient from above
uniform vec3 ground_color; // ambient from below
uniform vec3 rim_color;    // light from behind the subject
uniform vec4 lamp_pos;     // practical light: position (dm), reach in w
uniform vec3 lamp_color;
uniform vec3 fog_color;
uniform float fog_density; // per dm
uniform float exposure;
uniform vec3 eye_pos;
uniform vec3 grade;        // colour of the whole picture
uniform sampler2D noise_map;
uniform sampler2DShadow shadow_map;
uniform mat4 shadow_matrix;
uniform float shadow_strength;

layout(location = 0) out vec4 out_color;
layout(location = 1) out vec4 out_mask_a; // person, face, mouth, hair
layout(location = 2) out vec4 out_mask_b; // clothes, second person, other subject, weather

float shadow_at(vec3 world, vec3 normal) {
    if (shadow_strength <= 0.0) return 1.0;
    vec4 where = shadow_matrix * vec4(world + normal * 0.06, 1.0);
    vec3 uvz = where.xyz / where.w * 0.5 + 0.5;
    if (uvz.x <= 0.0 || uvz.x >= 1.0 || uvz.y <= 0.0 || uvz.y >= 1.0 || uvz.z >= 1.0) return 1.0;
    float lit = texture(shadow_map, vec3(uvz.xy, uvz.z - 0.0015));
    return mix(1.0, lit, shadow_strength);
}

vec3 ambient(vec3 n) { return mix(ground_color, sky_color, 0.5 + 0.5 * n.y); }

vec3 lamp(vec3 world, vec3 n) {
    vec3 to = lamp_pos.xyz - world;
    float d = length(to);
    float fall = 1.0 / (1.0 + (d * d) / (lamp_pos.w * lamp_pos.w));
    return lamp_color * fall * (0.35 + 0.65 * max(dot(n, to / max(d, 0.001)), 0.0));
}

vec3 fogged(vec3 color, vec3 world) {
    float x = length(world - eye_pos) * fog_density;
    return mix(fog_color, color, 1.0 / (1.0 + x + 0.5 * x * x)); // close to exp(-x), much cheaper in software
}

vec3 finish(vec3 linear) {
    vec3 x = max(linear * exposure * grade, 0.0);
    x = (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14); // Narkowicz 2015 fit of ACES
    x = clamp(x, 0.0, 1.0);
    vec3 s1 = sqrt(x), s2 = sqrt(s1), s3 = sqrt(s2);
    return 0.585122381 * s1 + 0.783140355 * s2 - 0.368262736 * s3; // x^(1/2.2) to 0.003
}

vec4 noise4(vec2 p) { return texture(noise_map, p); }
