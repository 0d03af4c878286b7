in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in vec3 in_color;
in vec3 in_kind;   // material layer, emission, sway
uniform mat4 model;
uniform mat4 view_projection;
uniform float time;
uniform float wind;
out vec3 world;
out vec3 normal;
out vec2 uv;
out vec3 color;
out vec2 kind;
void main() {
    vec4 at = model * vec4(in_position, 1.0);
    at.x += in_kind.z * wind * sin(time * 2.1 + at.x * 0.13 + at.z * 0.21);
    world = at.xyz;
    normal = mat3(model) * in_normal;
    uv = in_uv;
    color = in_color;
    kind = in_kind.xy;
    gl_Position = view_projection * at;
}
