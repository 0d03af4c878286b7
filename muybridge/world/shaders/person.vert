in vec3 in_position;
in vec3 in_normal;
in vec3 in_rest;
in vec4 in_extra;   // lips, inside of mouth, face, ears
in vec2 in_uv;
in vec4 in_bones;
in vec4 in_weights;
uniform mat4 bones[18];
uniform mat4 view_projection;
uniform float inflate;
out vec3 world;
out vec3 normal;
out vec3 rest;
out vec4 extra;
out vec2 uv;
void main() {
    mat4 skin = bones[int(in_bones.x)] * in_weights.x + bones[int(in_bones.y)] * in_weights.y
              + bones[int(in_bones.z)] * in_weights.z + bones[int(in_bones.w)] * in_weights.w;
    vec4 at = skin * vec4(in_position + in_normal * inflate, 1.0);
    world = at.xyz;
    normal = mat3(skin) * in_normal;
    rest = in_rest;
    extra = in_extra;
    uv = in_uv;
    gl_Position = view_projection * at;
}
