//! git on the host: mirrors and bundles, never a tree that an agent touched.
