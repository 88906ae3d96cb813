//! What each kind of entry is for.

use gimli::{DwTag, constants as c};

use super::graph::Shape;

/// `DW_TAG_LLVM_annotation`, `DW_TAG_GNU_annotation`.
const ANNOTATIONS: [DwTag; 2] = [DwTag(0x6000), DwTag(0x6001)];

/// What is done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing, but there may be types in it.
    Look,
    /// Nothing, but what is in it is seen everywhere.
    Scope,
    Type(Shape),
    /// A range of array indices, or the type of such.
    Subrange,
    Member,
    Value,
    Param,
    MoreParams,
    Function,
    Variable,
    Annotation,
}

/// The shape of a type and the use of any other entry.
pub(super) fn use_of(tag: DwTag) -> Use {
    use Use::Type;
    match tag {
        c::DW_TAG_base_type => Type(Shape::Int(0)),
        c::DW_TAG_pointer_type
        | c::DW_TAG_reference_type
        | c::DW_TAG_rvalue_reference_type
        | c::DW_TAG_ptr_to_member_type => Type(Shape::Pointer),
        c::DW_TAG_const_type => Type(Shape::Const),
        c::DW_TAG_volatile_type => Type(Shape::Volatile),
        c::DW_TAG_restrict_type => Type(Shape::Restrict),
        c::DW_TAG_typedef | c::DW_TAG_template_alias => Type(Shape::Typedef),
        c::DW_TAG_array_type => Type(Shape::Array),
        c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_interface_type => {
            Type(Shape::Struct)
        }
        c::DW_TAG_union_type => Type(Shape::Union),
        c::DW_TAG_enumeration_type => Type(Shape::Enum),
        c::DW_TAG_subroutine_type => Type(Shape::Prototype { variadic: false }),
        c::DW_TAG_unspecified_type
        | c::DW_TAG_atomic_type
        | c::DW_TAG_immutable_type
        | c::DW_TAG_packed_type
        | c::DW_TAG_shared_type
        | c::DW_TAG_coarray_type => Type(Shape::Alias),
        c::DW_TAG_subrange_type | c::DW_TAG_generic_subrange => Use::Subrange,
        c::DW_TAG_compile_unit
        | c::DW_TAG_partial_unit
        | c::DW_TAG_type_unit
        | c::DW_TAG_namespace
        | c::DW_TAG_module => Use::Scope,
        c::DW_TAG_member | c::DW_TAG_inheritance => Use::Member,
        c::DW_TAG_enumerator => Use::Value,
        c::DW_TAG_formal_parameter => Use::Param,
        c::DW_TAG_unspecified_parameters => Use::MoreParams,
        c::DW_TAG_subprogram => Use::Function,
        c::DW_TAG_variable => Use::Variable,
        tag if ANNOTATIONS.contains(&tag) => Use::Annotation,
        _ => Use::Look,
    }
}
